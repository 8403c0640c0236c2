// What the 45 files around RocksDB's `DBImpl` include; precompiled by `c++` beside it.
#include "db/db_impl/db_impl.h"
