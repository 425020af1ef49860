"""Metrics and figures; works on arrays and knows nothing of k-space files or methods."""

from __future__ import annotations

from kascade.report.evaluate import METRICS, evaluate_pair
from kascade.report.head_score import score_against_kspace, score_against_rss
from kascade.report.metrics import nmse, psnr, ssim

__all__ = ["METRICS", "evaluate_pair", "nmse", "psnr", "score_against_kspace", "score_against_rss", "ssim"]
