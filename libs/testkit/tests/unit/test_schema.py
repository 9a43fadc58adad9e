from testkit.schema import normalised

DUMP = """\
--
-- PostgreSQL database dump
--

\\restrict abc

-- Dumped from database version 18.4

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: t; Type: TABLE
--

CREATE TABLE s.t (
    n integer
);


\\unrestrict abc
"""


def test_a_dump_is_the_same_whatever_wrote_it():
    assert normalised(DUMP) == "CREATE TABLE s.t (\n    n integer\n);\n"
