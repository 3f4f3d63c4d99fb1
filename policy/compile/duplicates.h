/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/model.h"

/* Warnings about objects that get no requests because another has the same name; the tables are built. */

/* Listeners of one port with the same host name. */
void duplicates_warn(const struct bind *bind, struct config_report *report);
/* TCP routes of a listener: only the server name distinguishes connections. */
void tcp_duplicates_warn(const struct listener *listener, struct config_report *report);
