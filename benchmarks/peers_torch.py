"""PyTorch contestants of `step_time.py`: the same networks, with loops over members or with stacked members."""

import time

import numpy as np
import torch
import torch._functorch.config
import torch.nn.functional as F
from step_cases import B1, B2, EMA, EPS, LATENT, LEARNING_RATE
from torch import nn

torch._functorch.config.donated_buffer = False  # both gradients use one compiled forward pass
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def _layout(path, value):
    """Functions from the layout of a JAX weight to PyTorch's and back, for numpy arrays."""
    if path.endswith("kernel") and value.ndim == 2:
        return (lambda w: w.T), (lambda w: w.T)
    if path.endswith("kernel") and "up" in path:  # transposed convolutions: [H, W, in, out] mirrored to [in, out, H, W]
        flip = lambda w: w[::-1, ::-1].transpose(2, 3, 0, 1)
        return flip, lambda w: w.transpose(2, 3, 0, 1)[::-1, ::-1]
    if path.endswith("kernel"):
        return (lambda w: w.transpose(3, 2, 0, 1)), (lambda w: w.transpose(2, 3, 1, 0))
    return (lambda w: w), (lambda w: w)


def _leaves(tree, prefix=""):
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {
        k: v for key, value in tree.items() for k, v in _leaves(value, f"{prefix}.{key}" if prefix else key).items()
    }


class MLP(nn.Module):
    """`networks.mlp`: LeakyReLU(.2) between dense layers."""

    def __init__(self, params, end):
        super().__init__()
        tree = _leaves(params)
        names = [f"hidden.{i}" for i in range(len(params["hidden"]))] + ["last"]
        self.layers = nn.ModuleList([nn.Linear(*tree[f"{name}.kernel"].shape) for name in names])
        self.names = {f"layers.{k}": name for k, name in enumerate(names)}
        self.end = end

    def forward(self, x):
        """Samples, or logits."""
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
        x = self.layers[-1](x)
        return torch.tanh(x) if self.end == "tanh" else x[:, 0]


class DCGANGenerator(nn.Module):
    """`networks.dcgan_generator`, channels first."""

    def __init__(self, params, statistics=True):
        super().__init__()
        self.stem = nn.Linear(*params["stem"]["kernel"].shape)
        kernels = [params["up"][key]["kernel"] for key in sorted(params["up"], key=int)]
        self.up = nn.ModuleList([nn.ConvTranspose2d(k.shape[2], k.shape[3], 4, 2, 1) for k in kernels])
        norm = lambda k: nn.BatchNorm2d(k.shape[2], track_running_stats=statistics)
        self.norms = nn.ModuleList([norm(k) for k in kernels])
        self.names = {"stem": "stem"}
        for k in range(len(kernels)):
            self.names |= {f"up.{k}": f"up.{k}", f"norms.{k}": f"norms.{k}"}

    def forward(self, z):
        """Images."""
        x = self.stem(z).view(len(z), 4, 4, -1).permute(0, 3, 1, 2)
        for layer, norm in zip(self.up, self.norms, strict=True):
            x = layer(F.relu(norm(x)))
        return torch.tanh(x)


class DCGANDiscriminator(nn.Module):
    """`networks.dcgan_discriminator`, channels first."""

    def __init__(self, params):
        super().__init__()
        kernels = [params["down"][key]["kernel"] for key in sorted(params["down"], key=int)]
        self.down = nn.ModuleList([nn.Conv2d(k.shape[2], k.shape[3], 4, 2, 1) for k in kernels])
        self.logit = nn.Linear(*params["logit"]["kernel"].shape)
        self.names = {f"down.{k}": f"down.{k}" for k in range(len(kernels))} | {"logit": "logit"}

    def forward(self, x):
        """Logits."""
        for layer in self.down:
            x = F.leaky_relu(layer(x), 0.2)
        return self.logit(x.permute(0, 2, 3, 1).flatten(1))[:, 0]


class Block(nn.Module):
    """A residual block of `networks.r3gan_*`."""

    def __init__(self, params, group_width):
        super().__init__()
        width, inner = params["enter"]["kernel"].shape
        self.enter = nn.Linear(width, inner)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group_width)
        self.leave = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        """The residual."""
        act = lambda y: F.leaky_relu(y, 0.2)
        return x + _point(self.leave, act(self.mix(act(_point(self.enter, x)))))


def _point(layer, x):
    """A 1×1 convolution with the weights of a dense layer."""
    return F.conv2d(x, layer.weight[:, :, None, None], layer.bias)


class R3GAN(nn.Module):
    """`networks.r3gan_generator` or `r3gan_discriminator`, channels first."""

    def __init__(self, params, group_width=32):
        super().__init__()
        ordered = lambda tree: [tree[key] for key in sorted(tree, key=int)]
        self.generates = "constant" in params
        ends = ("modulate", "to_image") if self.generates else ("from_image", "logit")
        for name in ends:
            setattr(self, name, nn.Linear(*params[name]["kernel"].shape))
        self.table = nn.Parameter(torch.zeros(params["constant" if self.generates else "pool"].shape))
        self.stages = nn.ModuleList(
            [
                nn.ModuleList([Block(block, group_width) for block in ordered(stage)])
                for stage in ordered(params["stages"])
            ]
        )
        changes = params.get("changes", {})
        make = lambda i: nn.Linear(*changes[str(i)]["kernel"].shape, bias=False) if str(i) in changes else nn.Identity()
        self.changes = nn.ModuleList([make(i) for i in range(len(self.stages) - 1)])
        self.names = {name: name for name in ends}
        for i, stage in enumerate(self.stages):
            for k in range(len(stage)):
                for part in ("enter", "mix", "leave"):
                    self.names[f"stages.{i}.{k}.{part}"] = f"stages.{i}.{k}.{part}"
        self.names |= {f"changes.{i}": f"changes.{i}" for i in range(len(self.changes)) if str(i) in changes}

    def forward(self, x):
        """Images, or logits."""
        if self.generates:
            x = self.table.permute(2, 0, 1)[None] * self.modulate(x)[:, :, None, None]
        else:
            x = _point(self.from_image, x)
        for i, stage in enumerate(self.stages):
            if i:
                if self.generates:
                    x = F.interpolate(self.change(i, x), scale_factor=2, mode="bilinear", align_corners=False)
                else:
                    x = self.change(i, F.avg_pool2d(x, 2))
            for block in stage:
                x = block(x)
        if self.generates:
            return _point(self.to_image, x)
        return self.logit((x * self.table.permute(2, 0, 1)[None]).sum((2, 3)))[:, 0]

    def change(self, i, x):
        """`x` with the number of channels of stage i."""
        layer = self.changes[i - 1]
        return x if isinstance(layer, nn.Identity) else _point(layer, x)


def build(problem, side, statistics=True):
    """A module without weights for one side of a case."""
    one = lambda tree: {key: one(value) if isinstance(value, dict) else value[0] for key, value in tree.items()}
    params = one(problem.params_g if side == "g" else problem.params_d)
    if problem.case.name == "mlp":
        return MLP(params, "tanh" if side == "g" else "logit")
    if problem.case.name == "dcgan":
        return DCGANGenerator(params, statistics) if side == "g" else DCGANDiscriminator(params)
    return R3GAN(params)


def _paths(module):
    """Parameter name in the module to path in the JAX tree."""
    found = {}
    for name, _ in module.named_parameters():
        if name == "table":
            found[name] = "constant" if module.generates else "pool"
            continue
        parent, _, leaf = name.rpartition(".")
        norm = ".norms." in f".{parent}."
        found[name] = f"{module.names[parent]}.{ {'weight': 'scale' if norm else 'kernel', 'bias': 'bias'}[leaf] }"
    return found


def load(module, tree, i):
    """Copies member i of a stacked numpy tree into a module."""
    leaves = _leaves(tree)
    with torch.no_grad():
        for name, path in _paths(module).items():
            there, _ = _layout(path, leaves[path][i])
            value = np.ascontiguousarray(there(leaves[path][i]))
            dict(module.named_parameters())[name].copy_(torch.from_numpy(value))


def to_tree(module, tree, grads):
    """Gradients by parameter name, one dict per member, as a flat dict of stacked numpy arrays in JAX's layout."""
    leaves = _leaves(tree)
    out = {}
    for name, path in _paths(module).items():
        _, back = _layout(path, leaves[path][0])
        out[path] = np.stack([back(member[name].detach().cpu().numpy()) for member in grads])
    return out


def softplus_losses(s, r):
    """Loss of a discriminator on fakes and reals."""
    return F.softplus(s).mean() + F.softplus(-r).mean()


class Loop:
    """Modules in lists. Fakes are made once and pooled; each discriminator makes one forward pass over all of them."""

    name, mathematics, compiled = "torch, pooled", "simultaneous", False

    def __init__(self, problem):
        """Loads the weights."""
        self.problem, M = problem, problem.members
        self.gs, self.ds = ([build(problem, side).to(DEVICE) for _ in range(M)] for side in "gd")
        for i in range(M):
            load(self.gs[i], problem.params_g, i)
            load(self.ds[i], problem.params_d, i)
        reals = torch.from_numpy(problem.reals).to(DEVICE)
        self.reals = reals.permute(0, 3, 1, 2).contiguous() if reals.ndim == 4 else reals
        self.params_g = [p for g in self.gs for p in g.parameters()]
        self.params_d = [p for d in self.ds for p in d.parameters()]
        adam = {"lr": LEARNING_RATE, "betas": (B1, B2), "eps": EPS, "fused": True}
        self.opt_g, self.opt_d = torch.optim.Adam(self.params_g, **adam), torch.optim.Adam(self.params_d, **adam)
        self.average = [p.detach().clone() for p in self.params_g]
        self.call_g, self.call_d = (lambda m, x: m(x)), (lambda m, x: m(x))
        if self.compiled:
            blank_g, blank_d = build(problem, "g").to(DEVICE), build(problem, "d").to(DEVICE)
            make = lambda blank: torch.compile(lambda p, x: torch.func.functional_call(blank, p, (x,)))
            run_g, run_d = make(blank_g), make(blank_d)
            self.call_g = lambda m, x: run_g(dict(m.named_parameters()), x)
            self.call_d = lambda m, x: run_d(dict(m.named_parameters()), x)

    def draw(self):
        """Noise of every generator, and reals."""
        B = self.problem.batch_size
        z = torch.randn(self.problem.members, B, LATENT, device=DEVICE)
        return z, self.reals[torch.randint(0, len(self.reals), (B,), device=DEVICE)]

    def both(self, z, x):
        """Leaves the gradients of both sides, taken at the same parameters, in `.grad`."""
        M, B = self.problem.members, self.problem.batch_size
        fakes = torch.cat([self.call_g(g, z[i]) for i, g in enumerate(self.gs)])
        pooled = torch.cat([fakes.detach(), x]).requires_grad_()
        logits = [self.call_d(d, pooled) for d in self.ds]
        loss_d = sum(softplus_losses(s[: M * B], s[M * B :]) for s in logits)
        # A generator's loss is a mean over its B samples and all discriminators.
        loss_g = sum(F.softplus(-s[: M * B]).sum() for s in logits) / (B * M)
        for p, grad in zip(self.params_d, torch.autograd.grad(loss_d, self.params_d, retain_graph=True), strict=True):
            p.grad = grad
        (dx,) = torch.autograd.grad(loss_g, pooled)
        for p in self.params_g:
            p.grad = None
        fakes.backward(dx[: M * B])

    def update(self):
        """One step."""
        self.both(*self.draw())
        self.opt_d.step()
        self.opt_g.step()
        torch._foreach_lerp_(self.average, self.params_g, 1 - EMA)

    def gradients(self):
        """Gradients of both sides at the first noise and reals."""
        z, x = self.problem.first()
        x = torch.tensor(x, device=DEVICE)
        self.both(torch.tensor(z, device=DEVICE), x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x)
        named = lambda modules: [{n: p.grad for n, p in m.named_parameters()} for m in modules]
        return (
            to_tree(self.gs[0], self.problem.params_g, named(self.gs)),
            to_tree(self.ds[0], self.problem.params_d, named(self.ds)),
        )

    def compile(self):
        """Seconds by which the first step is longer than the second."""
        times = []
        for _ in range(2):
            start = time.perf_counter()
            self.run(1)
            times.append(time.perf_counter() - start)
        return max(0.0, times[0] - times[1])

    def run(self, steps):
        """Trains, and waits."""
        for _ in range(steps):
            self.update()
        if DEVICE == "cuda":
            torch.cuda.synchronize()


class Compiled(Loop):
    """The same with `torch.compile` for both networks, compiled once for all members."""

    name, compiled = "torch.compile, pooled", True


class Alternating(Loop):
    """Discriminators first, on pooled fakes; then generators against the new discriminators, with new noise."""

    name, mathematics = "torch, pooled, alternating", "alternating"

    def grad_d(self, z, x):
        """Leaves the gradients of discriminators in `.grad`."""
        with torch.no_grad():
            fakes = torch.cat([g(z[i]) for i, g in enumerate(self.gs)])
        pooled = torch.cat([fakes, x])
        self.opt_d.zero_grad()
        logits = [d(pooled) for d in self.ds]
        sum(softplus_losses(s[: len(fakes)], s[len(fakes) :]) for s in logits).backward()

    def grad_g(self, z):
        """Leaves the gradients of generators in `.grad`."""
        self.opt_g.zero_grad()
        for p in self.params_d:
            p.requires_grad_(False)
        fakes = torch.cat([g(z[i]) for i, g in enumerate(self.gs)])
        count = self.problem.batch_size * self.problem.members
        (sum(F.softplus(-d(fakes)).sum() for d in self.ds) / count).backward()
        for p in self.params_d:
            p.requires_grad_(True)

    def both(self, z, x):
        """Gradients of both sides at the same parameters, for comparison; a step uses the new discriminators."""
        self.grad_d(z, x)
        self.grad_g(z)

    def update(self):
        """One step."""
        self.grad_d(*self.draw())
        self.opt_d.step()
        self.grad_g(self.draw()[0])
        self.opt_g.step()
        torch._foreach_lerp_(self.average, self.params_g, 1 - EMA)


class Pairs(Loop):
    """One alternating update for every pair."""

    name, mathematics = "torch, pair by pair", "pair by pair"

    def __init__(self, problem):
        """An optimiser for every member."""
        super().__init__(problem)
        adam = lambda m: torch.optim.Adam(m.parameters(), lr=LEARNING_RATE, betas=(B1, B2), eps=EPS, fused=True)
        self.opts_g, self.opts_d = [adam(g) for g in self.gs], [adam(d) for d in self.ds]
        self.averages = [[p.detach().clone() for p in g.parameters()] for g in self.gs]

    def gradients(self):
        """None, since every pair takes its own step."""
        return None, None

    def update(self):
        """One step: every pair once."""
        for i, g in enumerate(self.gs):
            for j, d in enumerate(self.ds):
                z, x = self.draw()
                with torch.no_grad():
                    fakes = g(z[i])
                self.opts_d[j].zero_grad()
                s = d(torch.cat([fakes, x]))
                softplus_losses(s[: len(fakes)], s[len(fakes) :]).backward()
                self.opts_d[j].step()
                z, _ = self.draw()
                self.opts_g[i].zero_grad()
                F.softplus(-d(g(z[i]))).mean().backward()
                self.opts_g[i].step()
                torch._foreach_lerp_(self.averages[i], list(g.parameters()), 1 - EMA)


class Stacked(Loop):
    """`torch.func`: parameters stacked over members, with one vmapped call per side."""

    name = "torch.func, stacked"

    def __init__(self, problem):
        """Stacks the weights."""
        super().__init__(problem)
        self.blank_g, self.blank_d = (build(problem, side, statistics=False).to(DEVICE) for side in "gd")
        self.stacked_g, self.stacked_d = (dict(torch.func.stack_module_state(m)[0]) for m in (self.gs, self.ds))
        for stacked in (self.stacked_g, self.stacked_d):
            for key, value in stacked.items():
                stacked[key] = value.detach().requires_grad_()
        self.params_g, self.params_d = list(self.stacked_g.values()), list(self.stacked_d.values())
        adam = {"lr": LEARNING_RATE, "betas": (B1, B2), "eps": EPS, "fused": True}
        self.opt_g, self.opt_d = torch.optim.Adam(self.params_g, **adam), torch.optim.Adam(self.params_d, **adam)
        self.average = [p.detach().clone() for p in self.params_g]
        call = lambda blank: lambda p, x: torch.func.functional_call(blank, p, (x,))
        self.all_g = torch.func.vmap(call(self.blank_g), in_dims=(0, 0))
        self.all_d = torch.func.vmap(call(self.blank_d), in_dims=(0, None))

    def both(self, z, x):
        """Leaves the gradients of both sides, taken at the same parameters, in `.grad`."""
        M, B = self.problem.members, self.problem.batch_size
        fakes = self.all_g(self.stacked_g, z)
        pooled = torch.cat([fakes.detach().flatten(0, 1), x]).requires_grad_()
        logits = self.all_d(self.stacked_d, pooled)
        loss_d = F.softplus(logits[:, : M * B]).mean(1).sum() + F.softplus(-logits[:, M * B :]).mean(1).sum()
        loss_g = F.softplus(-logits[:, : M * B]).sum() / (B * M)
        for p, grad in zip(self.params_d, torch.autograd.grad(loss_d, self.params_d, retain_graph=True), strict=True):
            p.grad = grad
        (dx,) = torch.autograd.grad(loss_g, pooled)
        for p in self.params_g:
            p.grad = None
        fakes.backward(dx[: M * B].view_as(fakes))

    def gradients(self):
        """Gradients of both sides at the first noise and reals."""
        z, x = self.problem.first()
        x = torch.tensor(x, device=DEVICE)
        self.both(torch.tensor(z, device=DEVICE), x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x)
        named = lambda stacked: [{n: p.grad[i] for n, p in stacked.items()} for i in range(self.problem.members)]
        return (
            to_tree(self.gs[0], self.problem.params_g, named(self.stacked_g)),
            to_tree(self.ds[0], self.problem.params_d, named(self.stacked_d)),
        )


PEERS = (Loop, Alternating, Pairs, Stacked, Compiled)
