/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* Rows of the policies about the size of messages. */
extern const struct schema limits_schema; /* struct request_limits */
extern const struct schema buffer_schema; /* struct buffer_policy */
