/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/cluster/cluster.h"

/* Appends the metrics of the API server. */
void cluster_metrics(const struct cluster *cluster, struct text *out);
