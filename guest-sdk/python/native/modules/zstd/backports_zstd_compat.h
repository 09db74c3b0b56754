/* What the module of the backport needs of other versions of Python, which is nothing in 3.14. */
#ifndef BACKPORTS_ZSTD_COMPAT_H
#define BACKPORTS_ZSTD_COMPAT_H
#include "Python.h"
#include <zstd.h>
#endif
