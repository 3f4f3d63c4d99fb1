/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/http/endpoints.h"

/* One function per endpoint in endpoints.def. Each answers its call exactly once. */
#define ENDPOINT(port, methods, path, handle, what) void handle(const struct admin_call *call);
#include "admin/http/endpoints.def"
#undef ENDPOINT
