/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ui/page_file.h"

#include "user/base/check.h"

/* The assembler includes each file between two symbols. */
#define PAGE_FILE(id, name, content_type)                                                                    \
	extern const char page_file_##id[], page_file_##id##_end[];                                          \
	__asm__(".pushsection .rodata.page_file, \"a\"\n"                                                    \
		".globl page_file_" #id "\n"                                                                 \
		".hidden page_file_" #id "\n"                                                                \
		".globl page_file_" #id "_end\n"                                                             \
		".hidden page_file_" #id "_end\n"                                                            \
		"page_file_" #id ":\n"                                                                       \
		".incbin \"admin/ui/page/" name "\"\n"                                                       \
		"page_file_" #id "_end:\n"                                                                   \
		".byte 0\n"                                                                                  \
		".popsection\n");
#include "admin/ui/page_files.def"
#undef PAGE_FILE

const struct page_file *page_file_find(struct span name)
{
	static struct page_file files[] = {
#define PAGE_FILE(id, name, content_type) { { name, sizeof(name) - 1 }, content_type, { page_file_##id, 0 } },
#include "admin/ui/page_files.def"
#undef PAGE_FILE
	};
	static const char *const ends[] = {
#define PAGE_FILE(id, name, content_type) page_file_##id##_end,
#include "admin/ui/page_files.def"
#undef PAGE_FILE
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		/* The length is known to the linker only. */
		files[i].content.len = (size_t)(ends[i] - files[i].content.data);
		if (span_eq(files[i].name, name) || (!name.len && i == 0))
			return &files[i];
	}
	return NULL;
}
