/* _scrypt - what of scrypt takes the time and the memory: scryptROMix of RFC 7914, section 5. */

#define PY_SSIZE_T_CLEAN
#include "Python.h"

#include <stdint.h>
#include <string.h>

#define ROTATED(a, b) (((a) << (b)) | ((a) >> (32 - (b))))

/* Salsa20/8, section 3. */
static void
salsa(uint32_t block[16])
{
    uint32_t x[16];
    memcpy(x, block, sizeof x);
    for (int round = 0; round < 8; round += 2) {
        static const unsigned char quarters[8][4] = {
            {0, 4, 8, 12}, {5, 9, 13, 1}, {10, 14, 2, 6}, {15, 3, 7, 11},
            {0, 1, 2, 3}, {5, 6, 7, 4}, {10, 11, 8, 9}, {15, 12, 13, 14},
        };
#pragma clang loop unroll(full)
        for (int n = 0; n < 8; n++) {
            uint32_t *a = x + quarters[n][0], *b = x + quarters[n][1];
            uint32_t *c = x + quarters[n][2], *d = x + quarters[n][3];
            *b ^= ROTATED(*a + *d, 7);
            *c ^= ROTATED(*b + *a, 9);
            *d ^= ROTATED(*c + *b, 13);
            *a ^= ROTATED(*d + *c, 18);
        }
    }
    for (int n = 0; n < 16; n++)
        block[n] += x[n];
}

/* scryptBlockMix, section 4, of 2 * r blocks: those of even places go before the others. */
static void
block_mix(const uint32_t *in, uint32_t *out, size_t r)
{
    uint32_t x[16];
    memcpy(x, in + (2 * r - 1) * 16, sizeof x);
    for (size_t n = 0; n < 2 * r; n++) {
        for (int k = 0; k < 16; k++)
            x[k] ^= in[n * 16 + k];
        salsa(x);
        memcpy(out + (n / 2 + (n % 2) * r) * 16, x, sizeof x);
    }
}

/* WebAssembly has the order of bytes that the algorithm has. */
static void
rom_mix(uint32_t *x, uint32_t *spare, uint32_t *v, size_t r, size_t n)
{
    size_t words = 32 * r;
    for (size_t i = 0; i < n; i++) {
        memcpy(v + i * words, x, words * 4);
        block_mix(x, spare, r);
        memcpy(x, spare, words * 4);
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t *old = v + (x[words - 16] & (n - 1)) * words;
        for (size_t k = 0; k < words; k++)
            x[k] ^= old[k];
        block_mix(x, spare, r);
        memcpy(x, spare, words * 4);
    }
}

static PyObject *
mix(PyObject *module, PyObject *args)
{
    Py_buffer block;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "y*n:mix", &block, &n))
        return NULL;
    PyObject *mixed = NULL;
    if (block.len == 0 || block.len % 128 || n < 2 || (n & (n - 1)))
        PyErr_SetString(PyExc_ValueError, "a block has 128 * r bytes, and n is a power of 2");
    else if (n > PY_SSIZE_T_MAX / block.len - 2)
        PyErr_NoMemory();
    else {
        uint32_t *memory = PyMem_RawMalloc((n + 2) * block.len);
        if (memory == NULL)
            PyErr_NoMemory();
        else {
            size_t words = block.len / 4;
            memcpy(memory, block.buf, block.len);
            rom_mix(memory, memory + words, memory + 2 * words, block.len / 128, n);
            mixed = PyBytes_FromStringAndSize((char *)memory, block.len);
            PyMem_RawFree(memory);
        }
    }
    PyBuffer_Release(&block);
    return mixed;
}

static PyMethodDef methods[] = {
    {"mix", mix, METH_VARARGS, "mix(block, n): scryptROMix of a block of 128 * r bytes."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_scrypt", "scryptROMix of RFC 7914.", 0, methods};

PyMODINIT_FUNC
PyInit__scrypt(void)
{
    return PyModule_Create(&definition);
}
