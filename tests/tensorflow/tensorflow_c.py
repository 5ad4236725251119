"""TensorFlow's C API as far as a test of a SavedModel needs it, from the installed package."""

import ctypes
import pathlib

import numpy as np
import tensorflow as tf

FOLDER = pathlib.Path(tf.__file__).parent
STRING_BYTES = 24  # sizeof(TF_TString)
DTYPES = {1: np.float32, 3: np.int32, 9: np.int64}
P, I, Z, L = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_int64


class Output(ctypes.Structure):
    _fields_ = [("operation", P), ("index", I)]


def _library():
    ctypes.CDLL(str(FOLDER / "libtensorflow_framework.so.2"), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(FOLDER / "libtensorflow_cc.so.2"))
    for name, result, *arguments in [
        ("TF_NewStatus", P),
        ("TF_GetCode", I, P),
        ("TF_Message", ctypes.c_char_p, P),
        ("TF_NewGraph", P),
        ("TF_NewSessionOptions", P),
        ("TF_LoadSessionFromSavedModel", P, P, P, ctypes.c_char_p, P, I, P, P, P),
        ("TF_GraphOperationByName", P, P, ctypes.c_char_p),
        ("TF_AllocateTensor", P, I, P, I, Z),
        ("TF_TensorData", P, P),
        ("TF_TensorType", I, P),
        ("TF_NumDims", I, P),
        ("TF_Dim", L, P, I),
        ("TF_TensorByteSize", Z, P),
        ("TF_DeleteTensor", None, P),
        ("TF_StringInit", None, P),
        ("TF_StringCopy", None, P, ctypes.c_char_p, Z),
        ("TF_SessionRun", None, P, P, P, P, I, P, P, I, P, I, P, P),
        ("TF_CloseSession", None, P, P),
        ("TF_DeleteSession", None, P, P),
        ("TF_DeleteGraph", None, P),
    ]:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Session:
    def __init__(self, folder):
        self.c = _library()
        self.status = self.c.TF_NewStatus()
        self.graph = self.c.TF_NewGraph()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = self.c.TF_LoadSessionFromSavedModel(
            self.c.TF_NewSessionOptions(), None, folder.encode(), tags, 1, self.graph, None,
            self.status)
        self._check()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.TF_CloseSession(self.session, self.status)
        self.c.TF_DeleteSession(self.session, self.status)
        self.c.TF_DeleteGraph(self.graph)

    def _check(self):
        if self.c.TF_GetCode(self.status) != 0:
            raise RuntimeError(self.c.TF_Message(self.status).decode())

    def _output(self, name):
        node, index = name.split(":")
        operation = self.c.TF_GraphOperationByName(self.graph, node.encode())
        if not operation:
            raise KeyError(name)
        return Output(operation, int(index))

    def _tensor(self, array):
        dims = (L * max(array.ndim, 1))(*array.shape)
        if array.dtype == object:
            tensor = self.c.TF_AllocateTensor(7, dims, array.ndim, array.size * STRING_BYTES)
            data = self.c.TF_TensorData(tensor) or 0
            for i, text in enumerate(array.flat):
                text = text.encode() if isinstance(text, str) else text
                self.c.TF_StringInit(data + i * STRING_BYTES)
                self.c.TF_StringCopy(data + i * STRING_BYTES, text, len(text))
            return tensor
        number = {v: k for k, v in DTYPES.items()}[array.dtype.type]
        tensor = self.c.TF_AllocateTensor(number, dims, array.ndim, array.nbytes)
        ctypes.memmove(self.c.TF_TensorData(tensor), array.tobytes(), array.nbytes)
        return tensor

    def _array(self, tensor):
        shape = [self.c.TF_Dim(tensor, i) for i in range(self.c.TF_NumDims(tensor))]
        data = ctypes.string_at(self.c.TF_TensorData(tensor), self.c.TF_TensorByteSize(tensor))
        array = np.frombuffer(data, DTYPES[self.c.TF_TensorType(tensor)]).reshape(shape)
        self.c.TF_DeleteTensor(tensor)
        return array

    def run(self, feeds, fetches):
        """feeds: tensor name -> array. Returns the arrays of the fetched names; no strings."""
        inputs = (Output * len(feeds))(*[self._output(name) for name in feeds])
        values = (P * len(feeds))(*[self._tensor(array) for array in feeds.values()])
        outputs = (Output * len(fetches))(*[self._output(name) for name in fetches])
        results = (P * len(fetches))()
        self.c.TF_SessionRun(self.session, None, inputs, values, len(feeds), outputs, results,
                             len(fetches), None, 0, None, self.status)
        for value in values:
            self.c.TF_DeleteTensor(value)
        self._check()
        return [self._array(result) for result in results]
