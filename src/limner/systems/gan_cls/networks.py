"""The networks of GAN-CLS: 64x64 generator and matching-aware discriminator, and the style encoder.

Generator and discriminator are those of the official code (Reed et al., "Generative Adversarial Text to Image
Synthesis", ICML 2016), whose two scripts differ: ``main_cls_int`` (birds, flowers; interpolation) and ``main_cls``
(COCO). Switches of the constructors cover both. Layers carry the names of ``docs/systems.md``.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from limner.nn.blocks import Bottleneck

IMAGE_SIZE = 64
_leaky_relu = partial(functional.leaky_relu, negative_slope=0.2)


class Generator(nn.Module):
    """Noise and a sentence embedding to an image.

    Args:
        noise_size: length of the noise vector (nz).
        text_size: length of the sentence embedding.
        text_projection: length to which the embedding is projected (nt).
        width: channels of the last hidden layer (ngf); the first has 8 times as many.
        large: a second bottleneck behind each of the two (option of ``main_cls`` only).

    The noise goes before the text in the joint input. Neither ``up0`` nor ``up1`` has an activation before its
    bottleneck, and the projected text has no batch normalisation.
    """

    def __init__(
        self,
        *,
        noise_size: int = 100,
        text_size: int = 1024,
        text_projection: int = 128,
        width: int = 128,
        large: bool = False,
    ) -> None:
        super().__init__()
        self.txt_fc = nn.Linear(text_size, text_projection)
        self.up0 = nn.ConvTranspose2d(noise_size + text_projection, 8 * width, 4)
        self.up0_bn = nn.BatchNorm2d(8 * width)
        self.res4 = Bottleneck(8 * width, 2 * width, activation=functional.relu)
        self.res4b = Bottleneck(8 * width, 2 * width, activation=functional.relu) if large else None
        self.up1 = nn.ConvTranspose2d(8 * width, 4 * width, 4, stride=2, padding=1)
        self.up1_bn = nn.BatchNorm2d(4 * width)
        self.res8 = Bottleneck(4 * width, width, activation=functional.relu)
        self.res8b = Bottleneck(4 * width, width, activation=functional.relu) if large else None
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1)
        self.up2_bn = nn.BatchNorm2d(2 * width)
        self.up3 = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)
        self.up3_bn = nn.BatchNorm2d(width)
        self.to_rgb = nn.ConvTranspose2d(width, 3, 4, stride=2, padding=1)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        """Map noise (B, noise_size) and embeddings (B, text_size) to images (B, 3, 64, 64) in [-1, 1]."""
        text = _leaky_relu(self.txt_fc(text))
        x = self.res4(self.up0_bn(_from_one_pixel(self.up0, torch.cat([noise, text], dim=1))))
        if self.res4b is not None:
            x = self.res4b(x)
        x = self.res8(self.up1_bn(self.up1(functional.relu(x))))
        if self.res8b is not None:
            x = self.res8b(x)
        x = functional.relu(self.up2_bn(self.up2(functional.relu(x))))
        x = functional.relu(self.up3_bn(self.up3(x)))
        return torch.tanh(self.to_rgb(x))


def _from_one_pixel(layer: nn.ConvTranspose2d, vector: Tensor) -> Tensor:
    """A transposed convolution of one pixel, (B, I) to (B, O, K, K), as the matrix product that it is.

    Forward and backward together take a sixth of the convolution's time in bf16 (I 228, O 512, B 96).
    """
    weight = layer.weight.permute(0, 2, 3, 1)  # channels-last weights: flattening copies nothing
    assert layer.bias is not None
    height, width, outputs = weight.shape[1:]
    product = torch.addmm(layer.bias.repeat(height * width), vector, weight.flatten(1))
    return product.view(-1, height, width, outputs).permute(0, 3, 1, 2)


class Discriminator(nn.Module):
    """An image and a sentence embedding to one logit: real and matching, or not.

    Args:
        text_size: length of the sentence embedding.
        text_projection: length to which the embedding is projected (nt).
        width: channels of the first layer (ndf).
        activate_conv2: leaky ReLU behind ``conv2``; True in ``main_cls``, False in ``main_cls_int``.
        text_batch_norm: batch normalisation of the projected text; False in ``main_cls``, True in ``main_cls_int``.
        residual: the bottleneck at 4x4. Models of the official code from before 30 October 2016 may lack it, since the
            branch was dead until then.

    The image features go before the text in the joint input. The official network ends in a sigmoid; here it belongs
    to the losses.
    """

    def __init__(
        self,
        *,
        text_size: int = 1024,
        text_projection: int = 128,
        width: int = 64,
        activate_conv2: bool = False,
        text_batch_norm: bool = True,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.activate_conv2 = activate_conv2
        self.conv0 = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.conv1 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.conv1_bn = nn.BatchNorm2d(2 * width)
        self.conv2 = nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)
        self.conv2_bn = nn.BatchNorm2d(4 * width)
        self.conv3 = nn.Conv2d(4 * width, 8 * width, 4, stride=2, padding=1)
        self.conv3_bn = nn.BatchNorm2d(8 * width)
        self.res4 = Bottleneck(8 * width, 2 * width, activation=_leaky_relu) if residual else None
        self.txt_fc = nn.Linear(text_size, text_projection)
        self.txt_bn = nn.BatchNorm1d(text_projection) if text_batch_norm else None
        self.joint = nn.Conv2d(8 * width + text_projection, 8 * width, 1)
        self.joint_bn = nn.BatchNorm2d(8 * width)
        self.score = nn.Conv2d(8 * width, 1, 4)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Map images (B, 3, 64, 64) in [-1, 1] and embeddings (B, text_size) to logits (B,)."""
        x = _leaky_relu(self.conv0(image))
        x = _leaky_relu(self.conv1_bn(self.conv1(x)))
        x = self.conv2_bn(self.conv2(x))
        if self.activate_conv2:
            x = _leaky_relu(x)
        x = self.conv3_bn(self.conv3(x))
        x = _leaky_relu(x if self.res4 is None else self.res4(x))
        text = self.txt_fc(text)
        text = _leaky_relu(text if self.txt_bn is None else self.txt_bn(text))
        tiled = text[:, :, None, None].expand(-1, -1, *x.shape[2:])
        x = _leaky_relu(self.joint_bn(self.joint(torch.cat([x, tiled], dim=1))))
        return self.score(x).flatten()


class StyleEncoder(nn.Module):
    """An image to the noise vector that would give it: everything the caption does not say.

    Args:
        noise_size: length of the predicted noise vector.
        width: channels of the first layer.

    The paper (section 4.4) leaves the architecture open and no code was released. This is a free choice: the four
    strided convolutions of the discriminator with batch normalisation and leaky ReLU, then one linear layer.
    """

    def __init__(self, *, noise_size: int = 100, width: int = 64) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.conv1 = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.conv1_bn = nn.BatchNorm2d(2 * width)
        self.conv2 = nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)
        self.conv2_bn = nn.BatchNorm2d(4 * width)
        self.conv3 = nn.Conv2d(4 * width, 8 * width, 4, stride=2, padding=1)
        self.conv3_bn = nn.BatchNorm2d(8 * width)
        self.fc = nn.Linear(8 * width * 4 * 4, noise_size)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, 3, 64, 64) in [-1, 1] to noise vectors (B, noise_size), unbounded."""
        x = _leaky_relu(self.conv0(image))
        x = _leaky_relu(self.conv1_bn(self.conv1(x)))
        x = _leaky_relu(self.conv2_bn(self.conv2(x)))
        x = _leaky_relu(self.conv3_bn(self.conv3(x)))
        return self.fc(x.flatten(1))
