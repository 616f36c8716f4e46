from pathlib import Path

import numpy as np
import torch

from limner.nn.losses import eps_bce


def test_values_and_gradients_equal_torch7():
    golden = np.load(Path(__file__).parents[1] / "golden" / "gan_cls" / "bce_eps.npz")
    for target in (0, 1):
        p = torch.from_numpy(golden["p"]).requires_grad_()
        loss = eps_bce(p, real=target == 1)
        np.testing.assert_allclose(loss.detach(), golden[f"bce_target{target}"], rtol=1e-12, atol=1e-15)
        (gradient,) = torch.autograd.grad(loss.sum(), p)
        # Torch7 writes -(t - p) / ((1 - p + eps)(p + eps)), which differs from the derivative by eps / p at most.
        np.testing.assert_allclose(gradient, golden[f"grad_target{target}_unnorm"], rtol=1.1e-6, atol=1.0001)
