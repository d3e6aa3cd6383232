"""A small convolutional network for MNIST-1D in PyTorch: a signal of 40 numbers in, one of 10 digits out."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# The network
CHANNELS = 16
DEEP_CHANNELS = 24
WIDTH = 5
DEEP_WIDTH = 3
DROPOUT = 0.0

# The training
EPOCHS = 8
BATCH = 64
LEARNING_RATE = 0.003
FINAL_RATE = 0.001
WEIGHT_DECAY = 1e-4
SMOOTHING = 0.0
LARGEST_NORM = 10.0

# What the network is shown
MAX_SHIFT = 0
NOISE = 0.02
STRETCH = 0.0


class Block(nn.Module):
    """Filters slide over the signal in steps of two."""

    def __init__(self, a, b, width):
        super().__init__()
        self.filters = nn.Conv1d(a, b, width, stride=2, padding=width // 2)

    def forward(self, x):
        return F.relu(self.filters(x))


class Net(nn.Module):
    """Signals (n, 40) in, logits (n, 10) out."""

    def __init__(self):
        super().__init__()
        self.first = Block(1, CHANNELS, WIDTH)
        self.second = Block(CHANNELS, DEEP_CHANNELS, DEEP_WIDTH)
        self.third = Block(DEEP_CHANNELS, DEEP_CHANNELS, DEEP_WIDTH)
        self.head = nn.Linear(5 * DEEP_CHANNELS, 10)

    def forward(self, x):
        x = standardise(x)[:, None]
        x = self.third(self.second(self.first(x)))
        return self.head(F.dropout(x.flatten(1), DROPOUT, self.training))


def standardise(x):
    """Give every signal mean 0 and spread 1."""
    x = x - x.mean(1, keepdim=True)
    return x / x.std(1, keepdim=True)


def augment(x):
    """Vary training signals: shift them round, stretch them, add noise."""
    if MAX_SHIFT:
        x = torch.roll(x, int(torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, ())), 1)
    x = x * (1.0 + STRETCH * torch.randn(len(x), 1))
    return x + NOISE * torch.randn_like(x)


def optimiser(model):
    return torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)


def learning_rate(progress):
    """The step size after a share `progress` (0 to 1) of the training."""
    return LEARNING_RATE + (FINAL_RATE - LEARNING_RATE) * progress


def loss_of(logits, digits):
    return F.cross_entropy(logits, digits, label_smoothing=SMOOTHING)


def train(x, y, seed):
    """Learn from signals x (n, 40) and digits y (n,); return the parameters, a list of float arrays."""
    torch.manual_seed(seed)
    x, y = torch.from_numpy(np.array(x)), torch.from_numpy(np.array(y))
    model = Net()
    steps = optimiser(model)
    for epoch in range(EPOCHS):
        for group in steps.param_groups:
            group["lr"] = learning_rate(epoch / EPOCHS)
        for batch in torch.randperm(len(x)).split(BATCH):
            loss = loss_of(model(augment(x[batch])), y[batch])
            steps.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), LARGEST_NORM)
            steps.step()
    return [parameter.detach().numpy() for parameter in model.parameters()]


@torch.no_grad()
def predict(weights, x):
    """Name the digit of every signal x (n, 40), from the parameters alone."""
    model = Net().eval()
    for parameter, array in zip(model.parameters(), weights, strict=True):
        parameter.copy_(torch.from_numpy(np.array(array)))
    return model(torch.from_numpy(np.array(x))).argmax(1).numpy()
