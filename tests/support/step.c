#include "step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *setting(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set: run the tests with make test-NN\n",
                name);
        abort();
    }
    return value;
}

int step(const char *ability)
{
    size_t length = strlen(ability);
    for (const char *word = setting("ABILITIES"); word != NULL;) {
        if (strncmp(word, ability, length) == 0 && word[length] == '=')
            return atoi(word + length + 1);
        word = strchr(word, ' ');
        word += word != NULL;
    }
    fprintf(stderr, "tests/abilities has no column %s\n", ability);
    abort();
}

const char *step_name(void)
{
    return setting("STEP");
}

int step_number(const char *name)
{
    size_t length = strlen(name);
    for (const char *folder = setting("STEPS"); folder != NULL;) {
        if (strncmp(folder + 3, name, length) == 0
            && strchr(" ", folder[3 + length]) != NULL) /* or the end */
            return atoi(folder);
        folder = strchr(folder, ' ');
        folder += folder != NULL;
    }
    return 0;
}
