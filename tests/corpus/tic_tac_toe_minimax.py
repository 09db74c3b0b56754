# Perfect play at tic-tac-toe.
from functools import cache

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]

def winner(board):
    return next((board[a] for a, b, c in LINES if board[a] == board[b] == board[c] != "."), None)

@cache
def best(board, player):
    if winner(board):
        return -1, None
    free = [i for i, c in enumerate(board) if c == "."]
    if not free:
        return 0, None
    other = "O" if player == "X" else "X"
    return max(((-best(board[:i] + player + board[i + 1 :], other)[0], -i) for i in free))

board, player = "." * 9, "X"
while not winner(board) and "." in board:
    _, move = best(board, player)
    board = board[:-move] + player + board[-move + 1 :]
    player = "O" if player == "X" else "X"
print(*(board[i : i + 3] for i in (0, 3, 6)), sep="\n")
print(winner(board), best("XX.OO....", "X"), best.cache_info().currsize)
