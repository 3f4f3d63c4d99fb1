/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/cluster/cluster.h"

/* Tells the API server the conditions of its objects, as this configuration has them. */
void cluster_status_write(struct cluster *cluster, const struct snapshot *snapshot);
