/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

extern const struct schema session_schema; /* struct session_persistence */
/* config.session, of struct static_config: the key goes into the snapshot. */
extern const struct schema session_key_schema;
