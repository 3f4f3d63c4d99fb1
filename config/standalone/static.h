/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* The section `config`: an object of struct static_config. */
extern const struct schema static_schema;
