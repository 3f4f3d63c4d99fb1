/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What became of the session that a request came with. */
enum session_result {
#define SESSION_RESULT(id, word) SESSION_##id,
#include "user/base/session_results.def"
#undef SESSION_RESULT
	SESSION_RESULT_COUNT,
};

const char *session_result_word(enum session_result result);
