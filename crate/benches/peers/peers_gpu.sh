#!/usr/bin/env bash
# Both sides on one GPU, part by part, each with its own time; what fails does not stop the rest.
#
#   peers_gpu.sh small|scaling|large ...
#
#   small    nano and micro of PEERS: PyTorch's step, ours in f32 and q4, and whether ours computes what PyTorch does
#   scaling  micro at about 1 K, 4 K and 16 K tokens on both sides, the memory of nano up to 128 K
#   large    Lumina-Next 2B with random weights: diffusers' step at 1024x1024, ours at 1 K, 4 K and 16 K tokens
#
# FLAGDIT and CHECKPOINT are the programs (target/release/flagdit, target/release/examples/checkpoint), PEERS the folder of
# cargo xtask bench --peers, WORK a folder for models, OUT one for results: a file a part, times in parts.txt, table.out last.
# After UNTIL (in seconds since 1970) nothing is begun. DEVICE (gpu) is flagdit's, TORCH (cuda) PyTorch's; TYPES, MODELS, FORMATS,
# SIZES and LONG make it smaller, COMPILE=1 adds torch.compile.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${FLAGDIT:?}" "${WORK:?}" "${OUT:?}" "${PEERS:=}" "${CHECKPOINT:=}"
: "${UNTIL:=$(($(date +%s) + 3600))}" "${DEVICE:=gpu}" "${TORCH:=cuda}" "${PYTHON:=python3}" "${TYPES:=f32,bf16}" "${COMPILE:=}"
: "${MODELS:=nano micro}" "${FORMATS:=f32 q4}" "${SIZES:=512 1024 2048}" "${LONG:=4096x4096 8192x4096}"
export PYTHONDONTWRITEBYTECODE=1
mkdir -p "$WORK" "$OUT"

part() { # NAME SECONDS COMMAND...
  local name=$1 limit=$2 begin=$SECONDS left=$((UNTIL - $(date +%s)))
  shift 2
  [ "$left" -lt 3 ] && { echo "$name: no time left" | tee -a "$OUT/parts.txt"; return; }
  [ "$left" -lt "$limit" ] && limit=$left
  timeout -k 5 "$limit" "$@" >"$OUT/$name.txt" 2>"$OUT/$name.err"
  echo "$name: code $?, $((SECONDS - begin)) s" | tee -a "$OUT/parts.txt"
  [ -s "$OUT/$name.err" ] && tail -n 3 "$OUT/$name.err"
  [ -s "$OUT/$name.err" ] || rm -f "$OUT/$name.err"
}
torch() { "$PYTHON" "$here/peers_gpu.py" --device "$TORCH" --peers "$PEERS" --out "$WORK" "$@"; }
convert() { # SOURCE FORMAT TARGET
  rm -rf "$3"
  "$FLAGDIT" convert "$1" -o "$3" --component denoiser --quant "$2" --quiet
}
bench() { "$FLAGDIT" bench --json --quiet --denoiser --device "$DEVICE" "$@"; }
# `timeout` starts programs only.
export -f torch convert bench
export here FLAGDIT WORK PEERS DEVICE TORCH PYTHON
run() { local name=$1 limit=$2; shift 2; part "$name" "$limit" bash -c '"$@"' run "$@"; }

side_of() { case $1 in nano) echo 128 ;; micro) echo 256 ;; esac }
words_of() { case $1 in nano) echo 16 ;; micro) echo 32 ;; esac }

small() {
  for model in $MODELS; do
    run "torch-$model" 60 torch --types "$TYPES" denoiser "$model"
    for format in $FORMATS; do
      local ours=$WORK/$model/$model-$format size
      size=$(side_of "$model")
      run "convert-$model-$format" 20 convert "$WORK/$model/model.safetensors" "$format" "$ours"
      [ "$format" = f32 ] && run "check-$model" 60 "$FLAGDIT" check "$ours" "$WORK/$model/reference" --device "$DEVICE" --tolerance 1e-4 --json
      run "bench-$model-$format" 60 bench --model "$ours" --size "${size}x$size" --caption-tokens "$(words_of "$model")" --kernels
    done
    [ -n "$COMPILE" ] && run "torch-$model-compiled" 120 torch --types "$TYPES" --compile denoiser "$model"
  done
}

scaling() {
  local latents=
  for size in $SIZES; do
    run "scaling-micro-$size" 60 bench --model "$WORK/micro/micro-q4" --size "${size}x$size" --caption-tokens 32 --kernels
    latents=$latents,$((size / 8))
  done
  for size in $SIZES; do
    run "memory-nano-$size" 60 bench --model "$WORK/nano/nano-q4" --size "${size}x$size" --batch 1
  done
  for size in $LONG; do
    run "memory-nano-$size" 120 bench --model "$WORK/nano/nano-q4" --size "$size" --batch 1
  done
  run torch-micro-scaling 60 torch --types "$TYPES" --latents "${latents#,}" denoiser micro
}

large() {
  local folder=$WORK/lumina-next size
  run checkpoint 120 "$CHECKPOINT" lumina-next -o "$folder" --parts denoiser
  run torch-2B 120 torch --types "$TYPES" --masks next-dit "$folder"
  for format in $FORMATS; do
    run "convert-2B-$format" 120 convert "$folder" "$format" "$WORK/2B-$format"
    [ "$format" = f32 ] && run check-2B 120 "$FLAGDIT" check "$WORK/2B-$format" "$WORK/next-dit/reference" --device "$DEVICE" --tolerance 1e-3 --json
    run "bench-2B-$format-1024" 120 bench --model "$WORK/2B-$format" --size 1024x1024 --caption-tokens 64 --kernels
  done
  for size in $SIZES; do
    [ "$size" = 1024 ] || run "bench-2B-q4-$size" 150 bench --model "$WORK/2B-q4" --size "${size}x$size" --caption-tokens 64
  done
  run torch-2B-sizes 90 torch --types "$TYPES" --out "$WORK/sizes" --latents 64,256 next-dit "$folder"
}

for stage in "$@"; do
  case $stage in
    small | scaling | large) "$stage" ;;
    *) echo "expected small, scaling or large, found $stage" >&2; exit 2 ;;
  esac
done
"$PYTHON" "$here/table.py" "$OUT"/*.txt | tee "$OUT/table.out"
