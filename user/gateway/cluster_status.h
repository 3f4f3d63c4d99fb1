/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/cluster/cluster.h"

/*
 * Tells the API server the conditions of its objects, as this configuration has them. closed_list: listeners
 * whose port could not be opened.
 */
void cluster_status_write(struct cluster *cluster, const struct snapshot *snapshot,
			  const struct status_listener *const *closed_list, uint32_t closed_count);
