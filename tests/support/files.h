/* Files and folders of a test's own. */

#ifndef FILES_H
#define FILES_H

#include <stddef.h>

/* Returns what an open file holds, with a NUL behind it; to be freed. */
char *file_contents(int file);

/* Returns a file's bytes, with a NUL behind them; to be freed. The folder may
 * be NULL: that of the pages. */
char *file_read(const char *folder, const char *name, size_t *length);

/* Writes a file into a folder. */
void file_write(const char *folder, const char *name, const void *data,
                size_t length);

/* Makes an empty folder for a test, to be ended by folder_remove(). */
char *folder_new(void);

/* Makes one with pages in it: a hello.html of so many letters, and a 404.html
 * that says "gone". */
char *folder_with_page(size_t length);

/* Removes a test's folder with the two pages in it, and frees its name. */
void folder_remove(char *folder);

#endif
