"""A small campaign at every run of the tests; campaign.py is the long one."""
import campaign


def test_faults_and_kills_lose_nothing_and_double_nothing():
    small = ["--runs", "12", "--epochs", "20", "--kills", "3", "--pace", "0.02", "--seed", "7", "--patience", "20"]
    assert campaign.main(small) == 0


def test_nor_of_the_samples_of_steps():
    small = ["--runs", "6", "--epochs", "12", "--kills", "3", "--pace", "0.02", "--seed", "9", "--patience", "20"]
    assert campaign.main([*small, "--log-steps", "2"]) == 0
