"""Labels in the three shapes that the Docker SDK wants."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi_docker as docker


def container_labels(labels: Mapping[str, str]) -> list[docker.ContainerLabelArgs]:
    """Return labels as a container takes them."""
    return [docker.ContainerLabelArgs(label=key, value=value) for key, value in sorted(labels.items())]


def network_labels(labels: Mapping[str, str]) -> list[docker.NetworkLabelArgs]:
    """Return labels as a network takes them."""
    return [docker.NetworkLabelArgs(label=key, value=value) for key, value in sorted(labels.items())]


def volume_labels(labels: Mapping[str, str]) -> list[docker.VolumeLabelArgs]:
    """Return labels as a volume takes them."""
    return [docker.VolumeLabelArgs(label=key, value=value) for key, value in sorted(labels.items())]
