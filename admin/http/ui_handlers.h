/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/http/endpoints.h"

/* The page for a browser, and its data. */
void handle_ui(const struct admin_call *call);
void handle_ui_data(const struct admin_call *call);
