/* The names that the backport has for functions of CPython 3.14. */
#ifndef BACKPORTS_ZSTD_EDITS_H
#define BACKPORTS_ZSTD_EDITS_H
#include "Python.h"
#include "pycore_abstract.h"
#include "pycore_modsupport.h"
#define BACKPORTSZSTD__PyArg_BadArgument _PyArg_BadArgument
#define BACKPORTSZSTD__PyArg_CheckPositional _PyArg_CheckPositional
#define BACKPORTSZSTD__PyArg_UnpackKeywords _PyArg_UnpackKeywords
#define BACKPORTSZSTD__PyNumber_Index _PyNumber_Index
#define BACKPORTSZSTD_PyErr_Format_AppendPT(t, s, o) PyErr_Format(t, (s "%T"), o)
#define BACKPORTSZSTD_LOCK PyMutex
#define BACKPORTSZSTD_LOCK_allocate() ((PyMutex){0})
#define BACKPORTSZSTD_LOCK_isError(l) (0)
#define BACKPORTSZSTD_LOCK_lock PyMutex_Lock
#define BACKPORTSZSTD_LOCK_unlock PyMutex_Unlock
#define BACKPORTSZSTD_LOCK_free(l)
#define BACKPORTSZSTD_LOCK_isLocked PyMutex_IsLocked
#endif
