/* What libbz2 calls when it finds its own state to be wrong: the program ends. */
#include <stdlib.h>

void bz_internal_error(int code)
{
    (void)code;
    abort();
}
