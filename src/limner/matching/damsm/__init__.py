"""DAMSM: the deep attentional multimodal similarity model (Xu et al., CVPR 2018)."""
