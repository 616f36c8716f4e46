from pathlib import Path

import numpy as np
import torch

from limner.nn.optimisers import Torch7Adam

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "gan_cls" / "adam.npz")


def trajectory(optimiser_class, *, stop_after=None):
    settings = {
        "lr": float(GOLDEN["lr"]),
        "betas": (float(GOLDEN["beta1"]), float(GOLDEN["beta2"])),
        "eps": float(GOLDEN["eps"]),
    }
    parameter = torch.nn.Parameter(torch.from_numpy(GOLDEN["traj_torch7"][0]).clone())
    optimiser = optimiser_class([parameter], **settings)
    path = [parameter.detach().numpy().copy()]
    for step, gradient in enumerate(GOLDEN["grads"]):
        if step == stop_after:  # a saved and restored optimiser goes on as if nothing had happened
            saved = optimiser.state_dict()
            optimiser = optimiser_class([parameter], **settings)
            optimiser.load_state_dict(saved)
        parameter.grad = torch.from_numpy(gradient)
        optimiser.step()
        path.append(parameter.detach().numpy().copy())
    return np.stack(path), optimiser


def test_trajectory_equals_torch7():
    path, optimiser = trajectory(Torch7Adam)
    np.testing.assert_allclose(path, GOLDEN["traj_torch7"], rtol=1e-12)
    assert optimiser.param_groups[0]["eps"] == GOLDEN["eps"]


def test_plain_adam_is_the_other_trajectory():
    path, _ = trajectory(torch.optim.Adam)
    np.testing.assert_allclose(path, GOLDEN["traj_pytorch"], rtol=1e-12)
    assert np.abs(path - GOLDEN["traj_torch7"]).max() > 5e-5


def test_trajectory_survives_saving():
    assert np.array_equal(trajectory(Torch7Adam)[0], trajectory(Torch7Adam, stop_after=3)[0])
