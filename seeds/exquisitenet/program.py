"""ExquisiteNetV2: a small convolutional network for CIFAR-10, 518,230 parameters, and its training.

Every class and function here is a part that may change. Only what stands after the last marker is fixed: it is
what the evaluator calls.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# EVOLVE-BLOCK-START
# The training
BATCH = 216
LEARNING_RATE = 0.1
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-4
WARM_UP = 40
PLATEAU_FACTOR = 0.7
PLATEAU_PATIENCE = 4
LOWEST_RATE = 0.001
DROPOUT = 0.5

# What the network is shown
FLIP = 0.5
JITTER = 0.05
SHIFT = 0.05
CHANCE = 0.5


def max_pool(x):
    return F.max_pool2d(x, 2, ceil_mode=True)


def min_pool(x):
    return -F.max_pool2d(-x, 2, ceil_mode=True)


def pointwise(a, b):
    """A 1 x 1 convolution: mixes channels, looks at no neighbours."""
    return nn.Conv2d(a, b, 1, bias=False)


def depthwise(c):
    """A 3 x 3 convolution of each channel by itself."""
    return nn.Conv2d(c, c, 3, padding=1, groups=c)


class SE(nn.Module):
    """Squeeze and excitation: scale each channel by what a small network makes of all their means."""

    def __init__(self, c, r=3):
        super().__init__()
        self.squeeze = nn.Linear(c, max(1, c // r), bias=False)
        self.excite = nn.Linear(max(1, c // r), c, bias=False)

    def forward(self, x):
        scale = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        return x * scale[:, :, None, None]


class SE_LN(nn.Module):
    """Squeeze and excitation by a layer norm alone."""

    def __init__(self, c):
        super().__init__()
        self.norm = nn.LayerNorm(c)

    def forward(self, x):
        return x * torch.sigmoid(self.norm(x.mean((2, 3))))[:, :, None, None]


class DFSEBV2(nn.Module):
    """Two rounds of mixing channels and looking around; the input is added after each."""

    def __init__(self, c):
        super().__init__()
        self.mix1, self.norm1, self.look1 = pointwise(c, c), nn.BatchNorm2d(c), depthwise(c)
        self.scale = SE_LN(c)
        self.mix2, self.norm2, self.look2 = pointwise(c, c), nn.BatchNorm2d(c), depthwise(c)

    def forward(self, y):
        x = F.silu(self.norm1(self.mix1(y)))
        x = self.scale(self.look1(x)) + y
        x = F.hardswish(self.norm2(self.mix2(x)))
        return self.look2(x) + y


class FCT(nn.Module):
    """The way in: halve the image in three ways and mix them."""

    def __init__(self, a, b):
        super().__init__()
        self.look = nn.Conv2d(a, a, 4, stride=2, padding=1, groups=a, bias=False)
        self.mix, self.norm = pointwise(3 * a, b), nn.BatchNorm2d(b)

    def forward(self, x):
        return self.norm(self.mix(torch.cat([max_pool(x), min_pool(x), self.look(x)], 1)))


class EVE(nn.Module):
    """Halve by the largest and the smallest of four, then mix."""

    def __init__(self, a, b):
        super().__init__()
        self.mix, self.norm = pointwise(2 * a, b), nn.BatchNorm2d(b)

    def forward(self, x):
        return self.norm(self.mix(torch.cat([max_pool(x), min_pool(x)], 1)))


class ME(nn.Module):
    """Halve by the largest of four, then mix."""

    def __init__(self, a, b):
        super().__init__()
        self.mix, self.norm = pointwise(a, b), nn.BatchNorm2d(b)

    def forward(self, x):
        return self.norm(self.mix(max_pool(x)))


class DW(nn.Module):
    """A last look around."""

    def __init__(self, c):
        super().__init__()
        self.look = depthwise(c)

    def forward(self, x):
        return F.hardswish(self.look(x))


class ExquisiteNetV2(nn.Module):
    """Images (n, 3, height, width) in, logits (n, classes) out."""

    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(
            FCT(3, 12),
            DFSEBV2(12),
            EVE(12, 48),
            DFSEBV2(48),
            ME(48, 96),
            DFSEBV2(96),
            ME(96, 192),
            DFSEBV2(192),
            ME(192, 384),
            DFSEBV2(384),
            DW(384),
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(384, classes)

    def forward(self, x):
        return self.head(self.dropout(self.features(x).mean((2, 3))))


def standardise(images):
    """Bytes to floats around 0."""
    return images.float() / 127.5 - 1.0


def enlarge(x, size):
    """Resize images to size x size, as they are."""
    return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)


def augment(x, size):
    """Resize images to size x size, flipped, shifted and with other colours, each by its own luck."""
    n = len(x)
    flip = 1.0 - 2.0 * (torch.rand(n, device=x.device) < FLIP).float()
    shift = 2.0 * SHIFT * (2.0 * torch.rand(n, 2, device=x.device) - 1.0)
    shift = shift * (torch.rand(n, 1, device=x.device) < CHANCE)
    theta = torch.zeros(n, 2, 3, device=x.device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = flip, 1.0, shift
    x = F.grid_sample(x, F.affine_grid(theta, (n, 3, size, size), align_corners=False), align_corners=False)
    return jitter(x)


def jitter(x):
    """Vary brightness, contrast and saturation of half of the images a little."""
    change = JITTER * (2.0 * torch.rand(3, len(x), 1, 1, 1, device=x.device) - 1.0)
    change = change * (torch.rand(1, len(x), 1, 1, 1, device=x.device) < CHANCE)
    x = x + change[0]
    x = x + change[1] * (x - x.mean((1, 2, 3), keepdim=True))
    return x + change[2] * (x - x.mean(1, keepdim=True))


def optimiser(model):
    """SGD; norms and biases don't decay."""
    plain = [p for p in model.parameters() if p.ndim <= 1]
    decayed = [p for p in model.parameters() if p.ndim > 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True)


class Schedule:
    """The learning rate: a warm-up, then smaller whenever the loss of an epoch doesn't get better."""

    def __init__(self):
        self.rate = LEARNING_RATE
        self.best = float("inf")
        self.waited = 0

    def at(self, iteration):
        return self.rate * min(1.0, (iteration + 1) / WARM_UP)

    def epoch_ended(self, loss):
        """True when there is no more to learn."""
        self.waited = 0 if loss < self.best else self.waited + 1
        self.best = min(loss, self.best)
        if self.waited > PLATEAU_PATIENCE:
            self.rate, self.waited = self.rate * PLATEAU_FACTOR, 0
        return self.rate < LOWEST_RATE


def loss_of(logits, labels):
    return F.cross_entropy(logits, labels)


class Training:
    """A model on its way, epoch by epoch."""

    def __init__(self, images, labels, classes, size, device, autocast):
        self.images, self.labels = images, labels
        self.size, self.device, self.autocast = size, device, autocast
        self.model = ExquisiteNetV2(classes).to(device)
        self.optimiser = optimiser(self.model)
        self.schedule = Schedule()
        self.iteration = 0

    def epoch(self):
        """Learn from every image once; the mean loss, and whether that was the last epoch worth its time."""
        self.model.train()
        order = np.array_split(torch.randperm(len(self.images)).numpy(), -(-len(self.images) // BATCH))
        total = torch.zeros((), device=self.device)
        for batch in order:
            total += self.step(batch) * len(batch)
        loss = float(total) / len(self.images)
        return loss, self.schedule.epoch_ended(loss)

    def step(self, batch):
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.at(self.iteration)
        self.iteration += 1
        x = augment(standardise(torch.from_numpy(self.images[batch]).to(self.device)), self.size)
        labels = torch.from_numpy(self.labels[batch]).to(self.device)
        with self.autocast():
            loss = loss_of(self.model(x).float(), labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()


# EVOLVE-BLOCK-END
# What the evaluator calls
_training = None


def begin(images, labels, classes, image_size, device, precision, seed):
    """Set up the training on images (n, 3, 32, 32) of bytes with labels (n,)."""
    global _training
    torch.manual_seed(seed)
    _training = Training(images, labels, classes, image_size, *_machine(device, precision))


def train(epochs):
    """Go on for some epochs; the model's parameters as a list of arrays, the loss and whether it is over."""
    loss, over, done = float("nan"), False, 0
    while done < epochs and not over:
        loss, over = _training.epoch()
        done += 1
    weights = [p.detach().cpu().float().numpy() for p in _training.model.parameters()]
    return {"weights": weights, "loss": loss, "epochs": done, "over": bool(over)}


@torch.no_grad()
def predict(weights, known, images, classes, image_size, device, precision):
    """Name the class of every image, from the parameters alone.

    The norms' statistics come with no model: they are taken anew from `known`, images without labels.
    """
    device, autocast = _machine(device, precision)
    model = ExquisiteNetV2(classes).to(device)
    own = list(model.parameters())
    if len(own) != len(weights):
        raise ValueError(f"the model has {len(own)} parameters, not {len(weights)}")
    for parameter, array in zip(own, weights, strict=True):
        parameter.copy_(torch.from_numpy(np.array(array)))
    _take_statistics(model, known, image_size, device, autocast)
    model.eval()
    with autocast():
        named = [model(x).argmax(1).cpu() for x in _batches(images, image_size, device)]
    return torch.cat(named).numpy()


def _machine(device, precision):
    """The device, and the context in which the network runs."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeError(f'training.toml asks for device "{device}", but PyTorch sees no CUDA device here')
    mixed = precision == "mixed" or (precision == "auto" and device.startswith("cuda"))
    kind = torch.device(device).type
    return device, lambda: torch.autocast(kind, dtype=torch.bfloat16, enabled=mixed)


def _batches(images, size, device):
    for part in np.array_split(images, -(-len(images) // 250)):
        yield enlarge(standardise(torch.from_numpy(np.array(part)).to(device)), size)


def _take_statistics(model, known, size, device, autocast):
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    model.eval()
    for norm in norms:
        norm.train()
    with autocast():
        for x in _batches(known, size, device):
            model(x)
