/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* Sections of `config` about peers that may say who the client is: struct static_config. */
extern const struct schema forwarded_schema;
extern const struct schema proxy_protocol_schema;
