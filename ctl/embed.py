"""embed.py OUT NAME=FILE...: files as C strings, `const char NAME[]`."""
import sys

with open(sys.argv[1], "w", encoding="ascii") as out:
    for pair in sys.argv[2:]:
        name, path = pair.split("=", 1)
        out.write(f"extern const char {name}[];\nconst char {name}[] =\n")
        with open(path, encoding="ascii") as text:
            for line in text:
                line = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
                out.write(f'\t"{line}\\n"\n')
        out.write("\t;\n")
