"""Filters: the two ways to blur are one."""

from __future__ import annotations

import pytest
import torch
from understudy.engine.model.draft.filters import blur


@pytest.mark.parametrize("sigma", [0.4, 1.5, 4.6])
def test_a_blur_that_is_trained_through_is_the_same_blur(sigma: float) -> None:
    picture = torch.rand(3, 5, 40, 33, generator=torch.Generator().manual_seed(0))
    trained = picture.clone().requires_grad_()
    made = blur(trained, sigma)
    assert torch.allclose(made, blur(picture, sigma), atol=1e-6)
    # a linear map: its gradient is the map itself the other way round
    other = torch.rand(made.shape, generator=torch.Generator().manual_seed(1))
    torch.autograd.backward(made, other)
    assert trained.grad is not None
    probe = torch.rand(picture.shape, generator=torch.Generator().manual_seed(2))
    assert torch.allclose((blur(probe, sigma) * other).sum(), (probe * trained.grad).sum(), rtol=1e-4)
