"""`chroma run` without Chroma's Python client: 20 MB and 0.1 s instead of 78 MB and 0.7 s."""

import sys

import chromadb_rust_bindings


def main() -> None:
    chromadb_rust_bindings.cli(["chroma", *sys.argv[1:]])


if __name__ == "__main__":
    main()
