/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "policy/expression/expression.h"
#include "user/auth/jwt.h"
#include "user/base/list.h"

/*
 * What the client of one request may use at an MCP backend: the rules of mcpAuthorization, and a copy of what
 * they can read of the request. The request belongs to a worker and its messages to the thread of MCP, so an
 * access is immutable and has atomic references; the last one frees it in any thread.
 */
struct mcp_access;

/*
 * Copies what `facts` has. claims: of facts->jwt, gets a reference; NULL: no token. snapshot: of the policy,
 * gets a reference. One reference; NULL without memory.
 */
struct mcp_access *mcp_access_create(const struct authorization_policy *policy,
				     const struct expression_facts *facts, struct jwt_claims *claims,
				     struct snapshot *snapshot);
struct mcp_access *mcp_access_ref(struct mcp_access *access);
void mcp_access_unref(struct mcp_access *access); /* NULL allowed */
/* Whether the rules allow it. Also false when an expression reaches a limit. */
bool mcp_access_may(const struct mcp_access *access, const struct expression_mcp *item);

/* Accesses by number, for several threads: internal connections carry only bytes. */
struct mcp_access_table;

struct mcp_access_table *mcp_access_table_create(void); /* NULL without memory */
void mcp_access_table_free(struct mcp_access_table *table); /* NULL allowed; without entries */
/* Takes the reference. A number that no other access of the table has or had; never 0. */
uint64_t mcp_access_table_put(struct mcp_access_table *table, struct mcp_access *access);
/* With a reference; NULL: there is none, or it was dropped. */
struct mcp_access *mcp_access_table_find(struct mcp_access_table *table, uint64_t number);
void mcp_access_table_drop(struct mcp_access_table *table, uint64_t number); /* 0 allowed */
