import torch
from torch import nn

from limner.nn.folding import fold_batch_norms


def test_batch_norms_fold_into_the_layers_before_them() -> None:
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.LeakyReLU(0.2)), nn.BatchNorm2d(4),
        nn.Flatten(), nn.Linear(16, 5), nn.BatchNorm1d(5))
    numbers = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 2.0, generator=numbers)  # type: ignore[union-attr]
    network.eval().requires_grad_(False)
    x = torch.randn(2, 3, 4, 4, generator=numbers)
    before = network(x)
    after = fold_batch_norms(network)
    torch.testing.assert_close(after(x), before)
    # the one behind an activation stays
    assert [type(module).__name__ for module in after.modules()].count("BatchNorm2d") == 1
    assert not any(isinstance(module, nn.BatchNorm1d) for module in after.modules())
    assert not any(parameter.requires_grad for parameter in after[0].parameters())
