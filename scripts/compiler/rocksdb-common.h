// What most of RocksDB's files include, by the names they use; precompiled by `c++` beside it.
#include "options/cf_options.h"
#include "rocksdb/db.h"
#include "rocksdb/convenience.h"
#include "util/string_util.h"
#include "logging/logging.h"
