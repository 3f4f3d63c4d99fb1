/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* Rows of the policies about the choice among the endpoints of a backend. */
extern const struct schema load_balancer_schema; /* struct load_balancer */
extern const struct schema session_affinity_schema; /* struct affinity */
