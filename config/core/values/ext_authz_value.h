/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* Parts of extAuthz: the body that the service gets, and the answers that are kept. */
extern const struct schema ext_authz_body_schema; /* struct ext_authz_body */
extern const struct schema answer_cache_schema; /* struct answer_cache_policy */
extern const struct schema network_answer_cache_schema; /* the same, of connections */
