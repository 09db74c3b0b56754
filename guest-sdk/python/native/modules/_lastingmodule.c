/* _lasting - what is in a component when it is made, and what an instance adds to it.

   A page of memory that an instance writes to is a copy of its own, which takes time to make and room to keep. */

#define PY_SSIZE_T_CLEAN
#include "Python.h"

/* Objects that live for ever, and whose parts were not looked at yet. */
typedef struct {
    PyObject **objects;
    size_t length, room;
} Found;

static int
visit(PyObject *object, void *arg)
{
    Found *found = arg;
    if (object == NULL || _Py_IsImmortal(object))
        return 0;
    if (found->length == found->room) {
        size_t room = found->room ? 2 * found->room : 1024;
        PyObject **objects = PyMem_RawRealloc(found->objects, room * sizeof *objects);
        if (objects == NULL)
            return -1;
        found->objects = objects;
        found->room = room;
    }
    object->ob_refcnt = _Py_IMMORTAL_INITIAL_REFCNT;
    found->objects[found->length++] = object;
    return 0;
}

/* Also those that take part in no cycle, for which the collector does not ask. */
static int
visit_parts(PyObject *object, Found *found)
{
    if (PyDict_Check(object)) {
        Py_ssize_t position = 0;
        PyObject *key;
        while (PyDict_Next(object, &position, &key, NULL))
            if (visit(key, found))
                return -1;
    }
    else if (PyCode_Check(object)) {
        PyCodeObject *code = (PyCodeObject *)object;
        PyObject *parts[] = {
            code->co_consts, code->co_names, code->co_exceptiontable, code->co_localsplusnames, code->co_localspluskinds,
            code->co_filename, code->co_name, code->co_qualname, code->co_linetable,
        };
        for (size_t n = 0; n < sizeof parts / sizeof *parts; n++)
            if (visit(parts[n], found))
                return -1;
    }
    return PyObject_IS_GC(object) ? Py_TYPE(object)->tp_traverse(object, visit, found) : 0;
}

/* References to what lives for ever are not counted, and a count is what is written to most. */
static PyObject *
immortalize(PyObject *module, PyObject *objects)
{
    Found found = {0};
    int failed = visit_parts(objects, &found);
    while (!failed && found.length)
        failed = visit_parts(found.objects[--found.length], &found);
    PyMem_RawFree(found.objects);
    if (failed)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* What is free between the objects is taken, until memory has grown: what an instance makes lies close together behind them all. */
static PyObject *
fill(PyObject *module, PyObject *room)
{
    Py_ssize_t bytes = PyLong_AsSsize_t(room);
    if (bytes == -1 && PyErr_Occurred())
        return NULL;
    char *end = (char *)(__builtin_wasm_memory_size(0) << 16), *taken;
    do
        taken = PyMem_RawCalloc(1, 1);
    while (taken != NULL && taken < end);
    void *free = PyMem_RawMalloc(bytes);
    if (taken == NULL || free == NULL)
        return PyErr_NoMemory();
    PyMem_RawFree(free);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"immortalize", immortalize, METH_O, "immortalize(objects): what is in a list, and all that it holds, lives for ever."},
    {"fill", fill, METH_O, "fill(room): new objects lie behind those that there are, in so many bytes as long as they last."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_lasting", "What is in a component when it is made.", 0, methods};

PyMODINIT_FUNC
PyInit__lasting(void)
{
    return PyModule_Create(&definition);
}
