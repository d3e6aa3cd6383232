"""A small classifier for MNIST-1D in NumPy alone: a signal of 40 numbers in, one of 10 digits out.

Filters slide over the signal, a soft maximum over all places keeps what each of them found, and one
linear layer names the digit. Inside, signals are columns: (40, n).
"""

import numpy as np

# The network
WINDOW = 12
STRIDE = 3
FILTERS = 32
SHARPNESS = 1.0
INIT_GAIN = 1.0

# The training
EPOCHS = 15
BATCH = 40
LEARNING_RATE = 0.1
FINAL_RATE = 0.02
MOMENTUM = 0.8
WEIGHT_DECAY = 0.0005
SMOOTHING = 0.05
LARGEST_STEP = 0.5

# What the network is shown
MAX_SHIFT = 1.0
NOISE = 0.1


def standardise(signals):
    """Give every signal mean 0 and spread 1."""
    signals = signals - signals.mean(axis=0, keepdims=True)
    signals = signals / signals.std(axis=0, keepdims=True)
    return signals


def augment(signals, rng):
    """Vary the training signals: the generator shifts them round a circle and adds noise."""
    signals = np.roll(signals, round(MAX_SHIFT * rng.uniform(-1.0, 1.0)), axis=0)
    signals = signals + NOISE * rng.standard_normal(signals.shape)
    return signals


def windows(signals):
    """Cut signals (40, n) into overlapping windows (places, n, width)."""
    signals = standardise(signals)
    views = np.lib.stride_tricks.sliding_window_view(signals, min(WINDOW, len(signals)), axis=0)
    return views[::STRIDE].astype(np.float32)


def activation(z):
    """The filters' response and its slope."""
    h = np.tanh(z)
    return h, 1.0 - h * h


def pool(h):
    """Sum up responses (places, n, filters) by a mean that leans to the strongest; and its shares."""
    share = np.exp(SHARPNESS * (h - h.max(axis=0, keepdims=True)))
    share = share / share.sum(axis=0, keepdims=True)
    return (share * h).sum(axis=0), share


def initial_weights(width, digits, rng):
    weights = {
        "filters": rng.standard_normal((width, FILTERS)) / np.sqrt(width),
        "bias": np.zeros(FILTERS),
        "readout": rng.standard_normal((FILTERS, digits)) / np.sqrt(FILTERS),
        "offset": np.zeros(digits),
    }
    return {name: (INIT_GAIN * array).astype(np.float32) for name, array in weights.items()}


def forward(weights, inputs):
    """The logits (n, digits) of windows (places, n, width), and what `gradients` needs of the way there."""
    h, slope = activation(inputs @ weights["filters"] + weights["bias"])
    pooled, share = pool(h)
    return pooled @ weights["readout"] + weights["offset"], pooled, share * slope


def softmax(logits):
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def loss_slope(logits, targets):
    """The slope of the cross-entropy at the logits, with softened targets."""
    targets = targets + SMOOTHING * (targets.mean() - targets)
    return (softmax(logits) - targets) / len(targets)


def gradients(weights, inputs, targets):
    """The loss's slope for each array of weights; the shares of the pool count as fixed."""
    logits, pooled, slope = forward(weights, inputs)
    at_logits = loss_slope(logits, targets)
    # Joined end to end, the windows of all places are rows like any others.
    at_filters = np.concatenate((at_logits @ weights["readout"].T) * slope)
    return {
        "filters": np.concatenate(inputs).T @ at_filters,
        "bias": at_filters.sum(axis=0),
        "readout": pooled.T @ at_logits,
        "offset": at_logits.sum(axis=0),
    }


def learning_rate(progress):
    """The step size after a share `progress` (0 to 1) of the training."""
    return LEARNING_RATE + (FINAL_RATE - LEARNING_RATE) * progress


def update(weights, velocity, slopes, rate):
    """One step of gradient descent with momentum, in place."""
    for name, slope in slopes.items():
        slope = slope + WEIGHT_DECAY * weights[name]
        velocity[name] = MOMENTUM * velocity[name] - rate * slope
        # Unlike np.clip these two let no NaN through, so one wild step doesn't spoil the weights.
        velocity[name] = np.fmin(np.fmax(velocity[name], -LARGEST_STEP), LARGEST_STEP)
        weights[name] = weights[name] + velocity[name]


def train(x, y, seed):
    """Learn from signals x (n, 40) and digits y (n,); return the weights, a dict of float arrays."""
    rng = np.random.default_rng(seed)
    targets = (y[:, None] == np.unique(y)).astype(np.float32)
    weights = initial_weights(len(windows(x.T).T), len(targets.T), rng)
    velocity = {name: np.zeros_like(array) for name, array in weights.items()}
    for epoch in range(EPOCHS):
        inputs = windows(augment(x.T, rng))
        rate = learning_rate(epoch / EPOCHS)
        for batch in np.array_split(rng.permutation(len(x)), len(x) // BATCH):
            update(weights, velocity, gradients(weights, inputs[:, batch], targets[batch]), rate)
    return {name: array.astype(np.float32) for name, array in weights.items()}


def predict(weights, x):
    """Name the digit of every signal x (n, 40), from the weights alone."""
    logits, _, _ = forward(weights, windows(x.T))
    return logits.argmax(axis=1)
