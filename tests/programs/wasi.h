/* Put before every file of a C program for WASI: what Debian's C library of 2022 lacks. Files have no permissions and paths no links. */
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static inline int chmod(const char *path, mode_t mode) { (void)path; (void)mode; return 0; }
static inline char *realpath(const char *path, char *into) { return into ? strcpy(into, path) : strdup(path); }
static inline int getpagesize(void) { return 65536; }

/* Where the adapter from WASI preview 1 keeps its state. Without it, it would take memory that this library gives to the program, too. */
__attribute__((weak, export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t from, size_t align, size_t to) {
  (void)from; (void)align;
  return realloc(old, to);
}
