#!/usr/bin/env bash
# native.sh: builds llama.cpp's server for this very processor, from the sources of the xllamacpp that is installed.
# `up` takes it instead of the wheel's when it is there and fits (llm/llamacpp_server.py). Needs gcc, takes 5–15 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$PWD/.venv/bin/python
cache=${COACH_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ai-coach}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "error: $1" >&2
    exit 1
}

command -v g++ >/dev/null 2>&1 || fail "A C++ compiler is missing; install it with: apt install g++"
[ "$(df -Pm "$work" | awk 'NR == 2 { print $4 }')" -ge 1500 ] || fail "The build needs 1,500 MB in $work; free some space."
version=$("$python" -c 'import importlib.metadata as m; print(m.version("xllamacpp"))')
echo "Fetching the sources of llama.cpp (xllamacpp $version) and the tools to build them"
"$python" -m pip download -q --no-deps --no-binary xllamacpp -d "$work" "xllamacpp==$version" >"$work/log" 2>&1 ||
    fail "The sources could not be fetched: $(tail -n 1 "$work/log")"
"$python" -m pip install -q --target "$work/tools" cmake==4.4.4 ninja==1.13.2 >"$work/log" 2>&1 ||
    fail "The build tools could not be fetched: $(tail -n 1 "$work/log")"
tar -xzf "$work"/xllamacpp-*.tar.gz -C "$work"
export PYTHONPATH="$work/tools" PATH="$work/tools/bin:$PATH"
echo "Building; this takes 5 to 15 minutes"
off=(-DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF)
off+=(-DLLAMA_USE_PREBUILT_UI=OFF -DBUILD_SHARED_LIBS=OFF)
# AMX is claimed by the processor but often not allowed in a container: llama.cpp crashes there.
flags=""
g++ -mno-amx-tile -x c++ -E - </dev/null >/dev/null 2>&1 && flags="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
{
    cmake -S "$work"/xllamacpp-*/thirdparty/llama.cpp -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
        -DGGML_NATIVE=ON "-DCMAKE_C_FLAGS=$flags" "-DCMAKE_CXX_FLAGS=$flags" "${off[@]}" && ninja -C "$work/build" llama-server llama-bench
} >"$work/log" 2>&1 || fail "llama.cpp could not be built: $(grep -m 1 -iE 'error' "$work/log" || tail -n 1 "$work/log")"
for model in "$cache"/models/*.gguf; do
    [ -e "$model" ] || continue
    echo "Trying it with $(basename "$model")"
    "$work/build/bin/llama-bench" -m "$model" -p 32 -n 4 -r 1 >"$work/log" 2>&1 ||
        fail "What was built does not run on this machine, so the wheel's server stays: $(tail -n 1 "$work/log")"
    break
done
target="$cache/native/$version"
mkdir -p "$target"
cp "$work/build/bin/llama-server" "$target/llama-server.part"
"$python" -c 'from llm.llamacpp_server import processor; print(processor())' >"$target/processor"
mv "$target/llama-server.part" "$target/llama-server"
echo "Built. The next start takes it; remove $target to go back to the wheel's."
