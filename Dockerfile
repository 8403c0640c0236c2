# The image that providers run: `rowhouse`, and `rowhouse-chaos` for `helm test`. docs/operations/image.md
#
#   docker build --tag rowhouse:0.1.0 --build-arg VERSION=0.1.0 .
#
# The same sources, bases and SOURCE_DATE_EPOCH give the same image (`make image-test` builds it twice).
# `make image` builds it on a machine without an engine and without a registry.

# The bases, by digest: a tag may be another image tomorrow.
ARG RUST_IMAGE=docker.io/library/rust:1.91-bookworm@sha256:c1e5f19e773b7878c3f7a805dd00a495e747acbdc76fb2337a4ebf0418896b33
# Distroless and not scratch: the programs need glibc, libgcc and libstdc++, and nodes the CAs of the web to speak with
# pkarr relays. It has no shell and no package manager, and is scanned like any Debian. It must be as old or newer a
# Debian than the builder's.
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

FROM ${RUST_IMAGE} AS build
# Cargo's profile: `release`, or `dev` for a build of a third of the time.
ARG BUILD_PROFILE=release
# RocksDB's header is read by libclang; it leaves nothing in the programs.
RUN apt-get update && apt-get install --yes --no-install-recommends libclang-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The whole workspace, as everywhere (CONTRIBUTING.md): with another selection features would differ from what is tested.
RUN cargo build --locked --workspace --bins --profile "$BUILD_PROFILE" \
    && folder=$(test "$BUILD_PROFILE" = dev && echo debug || echo "$BUILD_PROFILE") \
    && install -D --target-directory=/out/programs "target/$folder/rowhouse" "target/$folder/rowhouse-chaos" \
    && mkdir /out/data

FROM ${RUNTIME_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Rowhouse" \
      org.opencontainers.image.description="A Pubky homeserver made of many machines" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build --chown=0:0 --chmod=0755 /out/programs/ /usr/local/bin/
# Volumes that are new take this folder's owner.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /var/lib/rowhouse
USER 65532:65532
WORKDIR /
ENTRYPOINT ["rowhouse"]
