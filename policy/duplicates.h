/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"
#include "config/model.h"

/* Warnings about what never gets anything because another has the same name; tables are built. */

/* Listeners of one port with the same host name. */
void duplicates_warn(const struct bind *bind, struct config_report *report);
/* TCP routes of a listener: one connection has nothing but its server name to tell them apart by. */
void tcp_duplicates_warn(const struct listener *listener, struct config_report *report);
