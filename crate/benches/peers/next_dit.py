"""diffusers' Next-DiT (LuminaNextDiT2DModel) with weights by Lumina's own names."""
import json
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

# Lumina's name -> diffusers'. `wq` and `q_norm` are there twice: the attention to the caption has the same queries.
NAMES = [
    (r"x_embedder\.", ["patch_embedder.proj."]),
    (r"t_embedder\.mlp\.0\.", ["time_caption_embed.timestep_embedder.linear_1."]),
    (r"t_embedder\.mlp\.2\.", ["time_caption_embed.timestep_embedder.linear_2."]),
    (r"cap_embedder\.", ["time_caption_embed.caption_embedder."]),
    (r"final_layer\.adaLN_modulation\.1\.", ["norm_out.linear_1."]),
    (r"final_layer\.linear\.", ["norm_out.linear_2."]),
    (r"attention\.gate", ["gate"]),
    (r"attention\.wq\.", ["attn1.to_q.", "attn2.to_q."]),
    (r"attention\.wk_y\.", ["attn2.to_k."]),
    (r"attention\.wv_y\.", ["attn2.to_v."]),
    (r"attention\.w([kv])\.", [r"attn1.to_\1."]),
    (r"attention\.wo\.", ["attn2.to_out.0."]),
    (r"attention\.q_norm\.", ["attn1.norm_q.", "attn2.norm_q."]),
    (r"attention\.k_norm\.", ["attn1.norm_k."]),
    (r"attention\.ky_norm\.", ["attn2.norm_k."]),
    (r"attention_norm1\.", ["norm1.norm."]),
    (r"attention_norm2\.", ["norm2."]),
    (r"attention_y_norm\.", ["norm1_context."]),
    (r"adaLN_modulation\.1\.", ["norm1.linear."]),
    (r"feed_forward\.w([123])\.", [r"feed_forward.linear_\1."]),
]


def renamed(name):
    """All of diffusers' names for one of Lumina's."""
    for pattern, theirs in NAMES:
        if re.search(pattern, name):
            return [re.sub(pattern, one, name, count=1) for one in theirs]
    return [name]


class NextDiT(torch.nn.Module):
    """Called as Lumina's own: x [B, C, H, W], t [B], cap_feats [B, T, C], cap_mask [B, T] -> [B, C, H, W]."""

    def __init__(self, folder, device):
        from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina
        from diffusers.models.transformers.lumina_nextdit2d import LuminaNextDiT2DModel

        super().__init__()
        config = json.loads((Path(folder) / "config.json").read_text())
        config = config.get("model", config)
        with torch.device(device):
            self.model = LuminaNextDiT2DModel(
                patch_size=config["patch_size"], in_channels=config["in_channels"], hidden_size=config["dim"],
                num_layers=config["n_layers"], num_attention_heads=config["n_heads"], num_kv_heads=config["n_kv_heads"],
                multiple_of=config["multiple_of"], norm_eps=config["norm_eps"], learn_sigma=config["learn_sigma"],
                qk_norm=config["qk_norm"], cross_attention_dim=config["cap_feat_dim"])
        files = sorted(Path(folder).glob("consolidated*.safetensors"))
        weights = {new: tensor for file in files for name, tensor in load_file(file, device=device).items()
                   for new in renamed(name)}
        self.model.load_state_dict(weights)
        self.model.eval()
        self.rotation = get_2d_rotary_pos_embed_lumina(self.model.head_dim, 384, 384).to(device)

    def forward(self, x, t, cap_feats, cap_mask):
        out = self.model(hidden_states=x, timestep=t, encoder_hidden_states=cap_feats, encoder_mask=cap_mask,
                         image_rotary_emb=self.rotation, cross_attention_kwargs={}, return_dict=False)[0]
        return out[:, : x.shape[1]]


class without_masks:
    """Attention without its mask. diffusers passes one even where nothing is padding, and flash attention takes none: where
    all of it are ones, leaving it out changes nothing but the time."""

    def __enter__(self):
        self.attend = F.scaled_dot_product_attention
        F.scaled_dot_product_attention = lambda q, k, v, attn_mask=None, **rest: self.attend(q, k, v, **rest)

    def __exit__(self, *_):
        F.scaled_dot_product_attention = self.attend
