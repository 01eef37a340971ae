"""What PyTorch takes on a GPU for what `flagdit bench` and `cargo bench --bench kernels` measure: a JSON line a measurement.

    python3 peers_gpu.py [--device cuda|cpu] PART...

    ceilings            a square product in f32 (TF32 off), TF32 and bf16; a copy
    products attention  shapes of the released models, as the benches' group "large"
    denoiser NAME       a step of `nano` or `micro` of --peers DIR, whose py/model.py has them; in --out DIR its weights with
                        Lumina's names, and PyTorch's output for `flagdit check`
    next-dit DIR        a step of diffusers' Next-DiT with the weights in DIR (`cargo xtask checkpoint lumina-next -o DIR`)

A step is one call of the denoiser with a batch of two: `ms` from numbers on the CPU to numbers on the CPU, as flagdit counts,
`card_ms` on the card alone. Medians of ten calls at least, after three. It needs torch, safetensors, numpy; next-dit diffusers.
"""
import argparse
import dataclasses
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

BATCH = 2
# What is counted, at least and at most, and for how many seconds beyond the least.
LEAST, MOST, BUDGET = 10, 100, 2.0
# Rows, input and output features of products; batch, heads, key heads, tokens and width of attention (crate/benches/kernels/large.rs).
PRODUCTS = {"2B": [(8192, 2304, 2304), (8192, 2304, 576), (8192, 2304, 6144), (8192, 6144, 2304)],
            "5B": [(8320, 3072, 3072), (8320, 3072, 8192), (8320, 8192, 3072)],
            "7B": [(8192, 4096, 4096), (8192, 4096, 11008), (8192, 11008, 4096)]}
ATTENTION = [("2B", 2, 32, 8, 4096, 72), ("2B", 2, 32, 8, 16384, 72), ("2B", 1, 4, 1, 131072, 72),
             ("5B", 2, 32, 32, 4160, 96), ("7B", 2, 32, 32, 4096, 128)]
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def tell(**row):
    print(json.dumps(row), flush=True)


class Bench:
    def __init__(self, device):
        self.device, self.is_cuda = device, device == "cuda"

    def wait(self):
        if self.is_cuda:
            torch.cuda.synchronize()

    def median(self, run, least=LEAST):
        """Milliseconds on the clock, each call waited for."""
        for _ in range(3):
            run()
        times, begin = [], time.perf_counter()
        while len(times) < least or (len(times) < MOST and time.perf_counter() - begin < BUDGET):
            self.wait()
            start = time.perf_counter()
            run()
            self.wait()
            times.append((time.perf_counter() - start) * 1e3)
        return statistics.median(times)

    def on_card(self, run, least=LEAST):
        """Milliseconds by the card's own events, the median of calls one after another."""
        if not self.is_cuda:
            return self.median(run, least)
        for _ in range(3):
            run()
        events = [torch.cuda.Event(enable_timing=True) for _ in range(least + 1)]
        events[0].record()
        for event in events[1:]:
            run()
            event.record()
        self.wait()
        return statistics.median(a.elapsed_time(b) for a, b in zip(events, events[1:]))

    def random(self, *shape, dtype=torch.float32):
        return torch.randn(shape, device=self.device, dtype=dtype)


def ceilings(bench, args):
    n = 4096 if bench.is_cuda else 512
    for name, dtype, tf32 in (("f32", torch.float32, False), ("tf32", torch.float32, True), ("bf16", torch.bfloat16, False)):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = bench.random(n, n, dtype=dtype), bench.random(n, n, dtype=dtype)
        ms = bench.on_card(lambda: a @ b)
        tell(what=f"product of {n} by {n} by {n}", engine=f"PyTorch {name}", ms=ms, gflops=2 * n**3 / ms / 1e6)
    torch.backends.cuda.matmul.allow_tf32 = False
    a = bench.random(n, 16 * n)
    b = torch.empty_like(a)
    ms = bench.on_card(lambda: b.copy_(a))
    tell(what=f"copy of {a.nbytes >> 20} MiB", engine="PyTorch", ms=ms, gbytes=2 * a.nbytes / ms / 1e6)


def products(bench, args):
    for size, shapes in PRODUCTS.items():
        for m, k, n in shapes:
            for name in args.types:
                x, w = bench.random(m, k, dtype=TYPES[name]), bench.random(n, k, dtype=TYPES[name])
                ms = bench.on_card(lambda: F.linear(x, w))
                tell(what=f"large {size}, product, {m} rows, {k} to {n}", engine=f"PyTorch {name}", ms=ms,
                     gflops=2 * m * n * k / ms / 1e6)


def attention(bench, args):
    for size, batch, heads, kv_heads, tokens, width in ATTENTION:
        for name in args.types:
            of = lambda heads: bench.random(batch, heads, tokens, width, dtype=TYPES[name])
            # Keys of several heads are repeated before: not every kernel of SDPA reads them where they are.
            q, k, v = of(heads), *(of(kv_heads).repeat_interleave(heads // kv_heads, 1) for _ in "kv")
            ms = bench.on_card(lambda: F.scaled_dot_product_attention(q, k, v), least=3 if tokens > 10_000 else LEAST)
            tell(what=f"large {size}, attention, {batch} rows, {heads} heads, {tokens} tokens", engine=f"PyTorch {name}",
                 ms=ms, gflops=4 * batch * heads * width * tokens**2 / ms / 1e6)


def reference(folder, inputs, out):
    """For `flagdit check`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({**inputs, "out_forward": out.float().cpu().contiguous()}, folder / "io.safetensors")
    (folder / "config.json").write_text("{}")


@torch.inference_mode()
def step(bench, model, inputs, dtype, save=None, **row):
    """Times a denoiser, whose output it returns; x, t, cap_feats and cap_mask are on the CPU."""
    moved = lambda: {name: value.to(bench.device, dtype) for name, value in inputs.items()}
    here = moved()
    out = model(**here).float().cpu()
    if save:
        reference(save, inputs, out)
    if bench.is_cuda:
        torch.cuda.reset_peak_memory_stats()
    ms = bench.median(lambda: model(**moved()).float().cpu())
    card_ms = bench.on_card(lambda: model(**here))
    mib = torch.cuda.max_memory_allocated() >> 20 if bench.is_cuda else None
    tell(**row, ms=ms, card_ms=card_ms, mib=mib)
    return out


def denoiser(bench, args, name):
    sys.path.insert(0, str(Path(args.peers) / "py"))
    import model as peers

    config = peers.CONFIGS[name]
    folder = Path(args.out) / name
    folder.mkdir(parents=True, exist_ok=True)
    net = peers.init_weights(peers.FlagDiT(config))
    save_file(net.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(peers.config_json(config))
    for side in args.latents or [config.latent_h]:
        config = dataclasses.replace(peers.CONFIGS[name], latent_h=side, latent_w=side)
        inputs = {key: torch.from_numpy(value) for key, value in peers.make_inputs(config).items()}
        for kind in args.types:
            # Buffers depend on the size, weights do not.
            sized = peers.FlagDiT(config)
            sized.load_state_dict(net.state_dict())
            sized = sized.eval().to(bench.device, TYPES[kind])
            engine = f"PyTorch {kind}"
            if args.compile:
                sized, engine = torch.compile(sized, mode="reduce-overhead", dynamic=False), f"{engine}, compiled"
            is_reference = kind == "f32" and not args.compile and side == peers.CONFIGS[name].latent_h
            step(bench, sized, inputs, TYPES[kind], save=folder / "reference" if is_reference else None,
                 what=f"{name}, {config.tokens} tokens", engine=engine)


def next_dit(bench, args, folder):
    from next_dit import NextDiT, without_masks

    net = NextDiT(folder, bench.device)
    config = net.model.config
    save = Path(args.out) / "next-dit" / "reference"
    for side in args.latents or [config.sample_size]:
        tokens = (side // config.patch_size) ** 2
        random = torch.Generator().manual_seed(7)
        x = torch.randn(BATCH, config.in_channels, side, side, generator=random)
        inputs = dict(x=x, t=torch.full((BATCH,), 0.35), cap_mask=torch.ones(BATCH, args.caption_tokens),
                      cap_feats=torch.randn(BATCH, args.caption_tokens, config.cross_attention_dim, generator=random))
        outs = []
        for kind in args.types:
            net = net.to(TYPES[kind])
            row = dict(what=f"Next-DiT, {tokens} tokens")
            # Of the first size, in the first type.
            first, save = (save, None) if kind == "f32" else (None, save)
            with without_masks():
                outs.append(step(bench, net, inputs, TYPES[kind], first, **row, engine=f"diffusers {kind}, no masks"))
            if args.masks:
                outs.append(step(bench, net, inputs, TYPES[kind], **row, engine=f"diffusers {kind}"))
        off = [float((out - outs[0]).norm() / outs[0].norm()) for out in outs]
        tell(what=f"Next-DiT, {tokens} tokens", engine="PyTorch", off=off)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", metavar="PART")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--types", default="f32,bf16", type=lambda text: text.split(","))
    parser.add_argument("--latents", type=lambda text: [int(side) for side in text.split(",")],
                        help="sides of the latents, an eighth of the picture's; the model's own if absent")
    parser.add_argument("--caption-tokens", type=int, default=64, help="of Next-DiT")
    parser.add_argument("--compile", action="store_true", help="torch.compile, which takes a minute")
    parser.add_argument("--masks", action="store_true", help="Next-DiT also as diffusers has it, with masks of ones")
    parser.add_argument("--peers", default="peer-bench")
    parser.add_argument("--out", default="out")
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(1)
    bench = Bench(args.device)
    name = torch.cuda.get_device_name() if bench.is_cuda else "the CPU"
    print(f"PyTorch {torch.__version__} on {name}", file=sys.stderr)
    parts = iter(args.parts)
    for part in parts:
        if part in ("denoiser", "next-dit"):
            {"denoiser": denoiser, "next-dit": next_dit}[part](bench, args, next(parts))
        else:
            {"ceilings": ceilings, "products": products, "attention": attention}[part](bench, args)


if __name__ == "__main__":
    main()
