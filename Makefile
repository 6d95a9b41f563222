# The two commands of this project are `make up` and `make test`. What they do stands in scripts/.

.DEFAULT_GOAL := help
.PHONY: help up test clean

help: ## Say what there is
	@echo "make up      install what is missing, build, and start an example app behind the edge, with"
	@echo "             simulated traffic; Ctrl-C stops it all. Settings: EDGE=127.0.0.1:8080,"
	@echo "             OPS=127.0.0.1:8081, MVP=127.0.0.1:8090 (where each one listens), RPS=20,"
	@echo "             DATA=.data (data, keys, tokens, logs)"
	@echo "make test    install what the tests need, and run all of them"
	@echo "make clean   remove what was built, installed and stored here (target, .tools, .data)"

up: ## Start the example app behind the edge
	@scripts/up

test: ## Run every check and test
	@scripts/test

clean: ## Remove what was built, installed and stored here
	rm -rf target .tools $$(readlink .data/up) .data

# What is said on make's command line reaches the scripts as environment.
export EDGE OPS MVP RPS DATA
