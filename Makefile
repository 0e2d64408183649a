# Every command a reader needs. `make` alone lists them.

STEPS = $(foreach folder,$(wildcard steps/??-*),$(firstword $(subst -, ,\
    $(notdir $(folder)))))
PORT ?= 7878
step = $(firstword $(wildcard steps/$(1)-*))

# A folder of the reader's own; make does not know what ~ is.
own = $(patsubst ~%,$(HOME)%,$(SRC))
export OWN = $(own)

help:
	@sed -n 's/^#: //p' Makefile

#: Run
#:   make run                 build and start the server; STEP=03 picks a step
#:   make build               build all steps and the final server
run:
	@echo "Open http://127.0.0.1:$(PORT) in a browser, and .../sleep;" \
	    "Ctrl-C stops the server."
	@$(MAKE) --no-print-directory run PORT=$(PORT) \
	    -C '$(if $(STEP),$(or $(call step,$(STEP)),no step $(STEP)),final)'

build:
	@set -e; for folder in steps/*/ final; do \
	    $(MAKE) --no-print-directory -C $$folder; done

#: Read
#:   make read                the course as a book, in a browser, served by final
#:                            (make setup-book first)
#:   make book                its pages, in build/book; PRINT=yes: a PDF, too
#:   make diff-07             what step 07 changes (diff-final: what comes last)
#:   make timeline STEP=02    who waits for whom, measured now; or SRC=~/hello;
#:                            HTML=yes: as a page of the book, too
#:   make compare SRC=~/hello your program beside the text's, function by function:
#:                            beside the nearest listing, or LISTING=7-2
#:   make listing LISTING=7-2 DIR=~/hello
#:                            the code as it stands after a listing
#:   make sources             the tutorial's notes: where its claims come from
#:   make tools               which tool finds which of its mistakes (a minute)
diff-%:
	@tests/ci/diff $*

diff:
	@tests/ci/diff "$$(tests/run --which)"

compare debug watch:
	@tests/runner/$@.py

timeline listing figures accept:
	@$(MAKE) --no-print-directory -C tests/text $@ LISTING='$(LISTING)' \
	    DIR='$(DIR)' STEP='$(STEP)' SRC="$$OWN"

book:
	@tests/book/book.py $(if $(PRINT),--print)

# The tick marks are kept for an address: always the same port, and not the one
# of the reader's own server.
read: book
	@$(MAKE) -s -C final
	@echo "Open this address in a browser; Ctrl-C ends it. Another port:" \
	    "make read PORT=8022"
	@final/server --quiet --root build/book $(if $(filter command%,$(origin \
	    PORT)),$(PORT),8021)

sources tools:
	@tests/text/$@

#: Test
#:   make test                everything: the steps, the tutorial, final
#:   make test-07             step 07's tests; test-tutorial, test-final
#:   make test SRC=~/hello    your own program: the tests of the step it is at
#:   make test-07 SRC=~/hello step 07's tests on it; ONLY=suite/test runs one,
#:                            ALL=1 all, whatever fails. Where something does not
#:                            come, they wait 3 s longer than it needs: PATIENCE=10
#:   make watch SRC=~/hello   the same at each save, on one screen
#:   make debug SRC=~/hello TEST=suite/test
#:                            a failing test under gdb, where it fails
#:   make test-teeth          the tests' tests: programs that must not pass; QUICK=1
#:                            asks only the check that tells each
#:   make test-watch          those of what watches threads; test-explore: of
#:                            what tries every order; test-player: of what steps
#:                            through them; test-solutions: programs of others,
#:                            which must pass
#:   make test-repeat         the steps 50 times (RUNS=50), on a busy machine
#:   make test-browser        every step, and final, in a real browser
#:   make test-book           the book: its links and code, and it in a browser
#:   make sanitize            threads and memory: sanitizers and valgrind; or of one
#:                            program: SRC=~/hello STEP=07
#:   make explore STEP=07     every order in which threads can meet at the queue
#:                            and the pool; SRC=~/hello, or LISTING=6-2; HTML=yes:
#:                            to step through them in a browser
#:   make check               after a small change: text, generated files, lint;
#:                            then the tests of steps whose code changed
#:   make lint                compiler warnings, clang-tidy, cppcheck, layout
#:   make bench               how fast, with what it is compared
test:
	@$(if $(SRC),tests/run $(STEP),tests/ci/all tutorial final $(STEPS))

test-tutorial:
	@$(MAKE) --no-print-directory -C tests/text test

test-final:
	@[ -z '$(own)' ] || { echo "make test-final tests final/ only;" \
	    "see make compare SRC=$(own)" >&2; exit 2; }
	@$(MAKE) --no-print-directory -C tests/final test

test-solutions:
	@tests/solutions/run

test-teeth:
	@tests/wrong/try
	@$(MAKE) --no-print-directory -C tests/text spoil

test-repeat:
	@tests/ci/repeat $(or $(RUNS),50)

test-book:
	@tests/book/test

test-browser:
	@tests/ci/browser

test-%:
	@tests/run $*

explore:
	@tests/explore/explore $(if $(LISTING),--listing '$(LISTING)') \
	    $(if $(HTML),--html build/explore.html) \
	    "$$OWN" '$(STEP)'

test-explore:
	@tests/explore/test

test-player:
	@tests/book/test-player

test-watch:
	@tests/watch/test

lint check:
	@tests/ci/$@

sanitize:
	@SRC='$(own)' STEP='$(STEP)' tests/ci/sanitize

bench:
	@$(MAKE) --no-print-directory -C tests/bench

#: Keep
#:   make setup               install what the tests need
#:   make setup-bench         install what make bench compares with
#:   make setup-book          install what the book needs
#:   make renumber STEP=NN    that step becomes the next one, and so on: room
#:                            for a new one before it (BY=-1: the other way)
#:   make accept STEP=06      write what the text's commands print into the text
#:   make update              write steps, patches and README's table from the text
#:   make format              lay out the C code that is written by hand
#:   make clean               remove what was built
setup:
	@tests/ci/setup

setup-book:
	@tests/book/setup

setup-bench:
	@tests/ci/setup bench

update:
	@tests/text/update

format:
	@tests/ci/lint --format

renumber:
	@tests/ci/renumber $(STEP) $(BY)

clean:
	rm -rf build steps/*/server
	$(MAKE) -C final clean

.PHONY: help run build diff compare debug watch timeline listing figures accept \
    book read sources tools test test-tutorial test-final test-solutions test-teeth \
    test-repeat test-book test-browser test-explore test-player test-watch explore \
    sanitize lint check bench setup setup-book setup-bench update format renumber clean
