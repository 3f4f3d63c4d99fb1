/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/session_result.h"

static const char *const words[] = {
#define SESSION_RESULT(id, word) word,
#include "user/base/session_results.def"
#undef SESSION_RESULT
};

const char *session_result_word(enum session_result result)
{
	return words[result];
}
