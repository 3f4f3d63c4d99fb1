/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* Rows of the policies that guard routes and listeners; both styles share them. */

extern const struct schema cors_schema; /* struct cors_policy */
