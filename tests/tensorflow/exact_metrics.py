"""Metrics of a full pass in numpy, by their definitions: what `capstan evaluate` must say."""

import numpy as np


def auc(scores, labels, weights):
    """P(score of a positive > score of a negative), ties half."""
    positive, negative = labels == 1, labels == 0
    if not positive.any() or not negative.any():
        return np.nan
    higher = scores[positive][:, None] > scores[negative][None, :]
    equal = scores[positive][:, None] == scores[negative][None, :]
    pair_weights = weights[positive][:, None] * weights[negative][None, :]
    return ((higher + 0.5 * equal) * pair_weights).sum() / pair_weights.sum()


def auc_pr(scores, labels, weights):
    """Average precision: thresholds from above, each the step of recall times precision."""
    total, area, recall = (weights * labels).sum(), 0.0, 0.0
    for threshold in np.unique(scores)[::-1]:
        chosen = scores >= threshold
        found = (weights * labels)[chosen].sum()
        area += (found / total - recall) * found / weights[chosen].sum()
        recall = found / total
    return area


def group_auc(scores, labels, weights, groups):
    """Groups with one class are left out; the others count by their weight."""
    total, weight = 0.0, 0.0
    for group in np.unique(groups):
        own = groups == group
        value = auc(scores[own], labels[own], weights[own])
        if not np.isnan(value):
            total += weights[own].sum() * value
            weight += weights[own].sum()
    return total / weight


def cross_entropy(scores, labels, weights):
    own = scores[np.arange(len(labels)), labels]
    return (weights * -np.log(own)).sum() / weights.sum()


def classification(scores, labels, weights, groups=None):
    """scores [examples, classes]: probabilities. All but the loss, which class weights change."""
    classes = scores.shape[1]
    result = {
        "examples": len(labels),
        "accuracy": (weights * (scores.argmax(1) == labels)).sum() / weights.sum(),
        "log_loss": cross_entropy(scores, labels, weights),
    }
    if classes > 2:
        result["auc"] = np.mean(
            [auc(scores[:, c], (labels == c).astype(int), weights) for c in range(classes)])
        return result
    p = scores[:, 1]
    result["auc"] = auc(p, labels, weights)
    result["auc_pr"] = auc_pr(p, labels, weights)
    result["calibration"] = (weights * p).sum() / (weights * labels).sum()
    if groups is not None:
        result["gauc"] = group_auc(p, labels, weights, groups)
    return result


def regression(values, labels):
    errors = np.square(values - labels)
    return {
        "examples": len(labels),
        "loss": errors.mean(),
        "rmse": np.sqrt(errors.mean()),
        "r2": 1 - errors.sum() / np.square(labels - labels.mean()).sum(),
        "calibration": values.mean() / labels.mean(),
    }
